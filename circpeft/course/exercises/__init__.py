"""What a notebook needs for its exercises: the decorator that checks, hints, solutions, right answers and questions."""

import inspect
from collections.abc import Callable
from typing import Any

from ...escaping import print_text
from ...suggest import nearest
from ..exercise_sets import EXERCISES
from ..exercise_type import Exercise
from .check import check
from .predictions import predict

__all__ = ["exercise", "find", "hint", "predict", "right_answer", "solution"]

_RIGHT: dict[str, Callable[..., Any]] = {}  # the learner's functions that passed, by the id of the exercise


def find(exercise_id: str) -> Exercise:
    """Return the exercise with the given id.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> find("02.1").difficulty
    2
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    raise ValueError(f"unknown exercise {exercise_id!r}; {nearest(exercise_id, EXERCISES)}")


def exercise(exercise_id: str) -> Callable[[Callable], Callable]:
    """Decorate a learner's function: check it against the reference answer on seeded random inputs of several shapes.

    The function itself stays what the learner wrote, right or wrong, and can be called and debugged. Cells that need a
    right function call `right_answer` instead. So the notebook always runs to its end, also if the function raises
    NotImplementedError (not attempted) or another error, ends the program, or never ends. For the first input with a
    wrong answer, the expected and the returned values are shown beside each other, and known mistakes are named.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> @exercise("03.9")
    ... def parameters(d_in, d_out, b):
    ...     raise NotImplementedError
    Exercise 03.9 not attempted; the cells below use the reference answer.
    >>> right_answer("03.9")(10, 7, 4)
    41
    """
    chosen = find(exercise_id)

    def decorate(function: Callable) -> Callable:
        _RIGHT.pop(exercise_id, None)
        if check(chosen, function):
            _RIGHT[exercise_id] = function
        return function

    return decorate


def right_answer(exercise_id: str) -> Callable[..., Any]:
    """Return the learner's function if it passed its last check, otherwise the reference answer.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> right_answer("08.1")([(4, 4), (4, 8)], 4)
    12
    """
    return _RIGHT.get(exercise_id, find(exercise_id).reference)


def hint(exercise_id: str) -> None:
    """Print the first step towards the answer of an exercise.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> hint("08.1")
    A layer has (d_in / b) * (d_out / b) blocks. Each block has a kernel of b numbers.
    """
    print_text(find(exercise_id).hint)


def solution(exercise_id: str) -> None:
    """Print the code of an answer to an exercise.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.
    """
    chosen = find(exercise_id)
    print_text(inspect.getsource(chosen.solution or chosen.reference).strip())
