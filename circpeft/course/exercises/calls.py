"""Call a learner's function on one input of an exercise, and say what keeps the result from being compared."""

import contextlib
import copy
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..exercise_type import Exercise
from . import attempts
from .forbidden_calls import Forbidden, MatrixBuilt, forbid
from .time_limit import OutOfTime


@dataclass(frozen=True)
class Outcome:
    """The result of one call.

    Args:
        value: what the function returned; None if it returned nothing that can be compared.
        problem: why not, as the end of a sentence; "" if the value can be compared.
        attempted: False if the function only says that it is not written yet (`raise NotImplementedError`).
        last: True if further calls would meet the same problem, and take as long.
        matrix: which matrix the function built although its exercise asks to do without, as the end of a sentence, or
            "". The value is then that of a second call, which may build it: it shows whether the values are right.
    """

    value: Any = None
    problem: str = ""
    attempted: bool = True
    last: bool = False
    matrix: str = ""


def call(exercise: Exercise, function: Callable, arguments: tuple) -> Outcome:
    """Call a learner's function on a copy of the arguments, as `attempts.attempt` does, and return the outcome."""
    matrices = tuple(exercise.no_matrix(*arguments)) if exercise.no_matrix else ()
    try:
        return _outcome(exercise, function, arguments, matrices)
    except MatrixBuilt as refused:
        return replace(_outcome(exercise, function, arguments, ()), matrix=f"{refused}")


def _outcome(exercise: Exercise, function: Callable, arguments: tuple, matrices: tuple) -> Outcome:
    """Return the outcome of one call.

    Raises:
        MatrixBuilt: if the function builds a matrix of one of the shapes in `matrices`.
    """
    given = copy.deepcopy(arguments)
    with forbid(exercise.forbidden, matrices):
        value, error = attempts.attempt(function, *given)
    if isinstance(error, MatrixBuilt):
        raise error
    if error is not None:
        return _failure(exercise, function, error)
    return Outcome(value, _changed_arguments(function, arguments, given) or _nothing_returned(function, value))


def _failure(exercise: Exercise, function: Callable, error: BaseException) -> Outcome:
    """Return the outcome of a call that raised an error."""
    if isinstance(error, Forbidden):
        return Outcome(problem=f"{error}{allowed(exercise)}", last=True)
    if isinstance(error, OutOfTime):
        limit = f"{attempts.SECONDS:.0f} seconds"
        reason = f"it ran for more than {limit} and was stopped: is there a loop that never ends?"
        return Outcome(problem=reason, last=True)
    raised = f"it raised {type(error).__name__}{_raising_line(error, function)}"
    if not isinstance(error, Exception):
        return Outcome(problem=f"{raised}, which would end the program: return the answer instead", last=True)
    if isinstance(error, RecursionError):
        return Outcome(problem=f"{raised}: does it call itself without end?", last=True)
    if isinstance(error, NotImplementedError) and not error.args:
        other = _other_function(error, function)
        if other:
            return Outcome(problem=f"it calls `{other}`, which raises NotImplementedError: write that one first")
        return Outcome(attempted=False, problem="it raised NotImplementedError, but for other inputs it did not")
    message, _ = attempts.attempt(str, error)  # a class of the learner's may have no text
    return Outcome(problem=f"{raised}: {(message or '').split(chr(10))[0][:200]}")  # torch adds hundreds of lines


def allowed(exercise: Exercise) -> str:
    """Return ". Allowed: ..." with what an answer may use, or "" if the exercise does not name it."""
    return f". Allowed: {exercise.allowed.rstrip('.')}." if exercise.allowed else ""


def _raising_line(error: BaseException, function: Callable) -> str:
    """Return " at `LINE`", with the line of the learner's function that raised the error, or "" if it is not known."""
    name = getattr(function, "__name__", "")
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.name == name]
    return f" at `{lines[-1]}`" if lines and lines[-1] else ""


def _other_function(error: BaseException, function: Callable) -> str:
    """Return the name of the function that raised the error if it is not the learner's, or ""."""
    own = getattr(function, "__code__", None)
    raised = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return raised.co_name if own is not None and raised is not own else ""


def _changed_arguments(function: Callable, before: tuple, after: tuple) -> str:
    """Return which arguments the function changed in place, or ""."""

    def equal(a, b):  # what the function left may be of any type
        if type(a) is not type(b):
            return False
        if isinstance(a, torch.Tensor):
            return (a.shape, a.dtype) == (b.shape, b.dtype) and torch.equal(a, b)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        return a == b

    names = [f"number {i + 1}" for i in range(len(before))]
    with contextlib.suppress(ValueError, TypeError):  # a built-in function may have no signature
        parameters = inspect.signature(function).parameters.values()
        own = [f"`{p.name}`" for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names[: len(own)] = own[: len(names)]
    changed = [name for name, a, b in zip(names, before, after, strict=True) if not equal(a, b)]
    if not changed:
        return ""
    what = f"its argument {changed[0]}" if len(changed) == 1 else f"its arguments {' and '.join(changed)}"
    return f"it changed {what} in place, and the caller still needs the old values: work on a copy (`.clone()`)"


def _nothing_returned(function: Callable, value: Any) -> str:
    """Return what is missing if the function returned None, an exception or a generator, or ""."""
    error = value if isinstance(value, type) else type(value)
    if issubclass(error, BaseException):
        return f"it returned {error.__name__} instead of raising it: write `raise {error.__name__}`, or your answer"
    if inspect.isgenerator(value):
        return "it returned a generator, which holds no values yet: write `return` instead of `yield`, or a list"
    if inspect.iscoroutine(value):
        value.close()  # otherwise Python warns that nothing awaited it
        return "it returned a coroutine, which holds no value yet: write `def` instead of `async def`"
    if value is not None:
        return ""
    if "NotImplementedError" in getattr(getattr(function, "__code__", None), "co_names", ()):
        return "it returned None: `NotImplementedError` does nothing without `raise`. Write your answer in its place"
    return "it returned None: is a `return` missing?"
