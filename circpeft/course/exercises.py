"""The `exercise` decorator: checks a learner's function against the dense truth and hands on one that works."""

import copy
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch

from .. import plots
from .exercise_set import EXERCISES, Exercise

SEED = 0


def find(exercise_id: str) -> Exercise:
    """The exercise of that id.

    Raises:
        ValueError: if there is none; the message names the nearest.

    >>> find("02.1").difficulty
    1
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    near = get_close_matches(str(exercise_id), EXERCISES, n=1, cutoff=0.0)
    raise ValueError(f"no exercise {exercise_id!r}; the nearest is {near[0]!r}, all are {', '.join(EXERCISES)}")


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else repr(value)


def _given(arguments: tuple) -> str:
    words = ", ".join(_shape(value) for value in arguments)
    return words if len(words) <= 100 else words[:97] + "..."


def _difference(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).abs().max()) if want.numel() else 0.0


def _likeness(got: torch.Tensor, want: torch.Tensor) -> str:
    """What turns the answer into the right one, where a simple thing does."""

    def same(a, b):
        return torch.allclose(a, b, rtol=1e-8, atol=1e-10)

    if want.dim() == 2 and want.shape[0] == want.shape[1] and same(got.T, want):
        return "It is the transpose of the right answer: rows and columns are exchanged."
    if want.dim() == 1 and len(want) > 2:
        if same(got.flip(0).roll(1), want):
            return "It is the right answer with its index reversed, k -> -k mod b: is a conjugate missing or too many?"
        for shift in range(1, len(want)):
            if same(got.roll(shift), want):
                return f"Rolled by {shift} it is the right answer: look at where the index starts."
    scale = float((got * want).sum() / (want * want).sum().clamp_min(1e-300))
    if abs(scale) > 1e-12 and same(got / scale, want):
        return f"It is {scale:.4g} times the right answer: look for a factor."
    return ""


def _number(got: Any) -> Any:
    # A zero-dimensional integer (tensor or NumPy) is as good an int as Python's; a float or a bool is not.
    if not isinstance(got, bool) and hasattr(got, "item") and getattr(got, "shape", None) == ():
        return got.item()
    return got


def _compare(exercise: Exercise, got: Any, want: Any) -> str:
    """What is wrong with one part of a result, or nothing."""
    if got is None:
        return "the function returned None: is a `return` missing?"
    if isinstance(want, int):
        got = _number(got)
        if type(got) is not int:
            return f"returned {got!r} ({type(got).__name__}), expected an int"
        return "" if got == want else f"returned {got}, expected {want}: a difference of {abs(got - want)}"
    if not isinstance(got, torch.Tensor):
        return f"returned a {type(got).__name__}, expected a torch.Tensor of shape {tuple(want.shape)}"
    if got.shape != want.shape:
        return f"returned shape {tuple(got.shape)}, expected {tuple(want.shape)}"
    if got.dtype != want.dtype:
        advice = ": take the real part, or use irfft" if got.is_complex() else ""
        return f"returned dtype {got.dtype}, expected {want.dtype}{advice}"
    got = got.detach()
    if not torch.isfinite(got).all():
        return "returned values that are not finite (nan or inf)"
    largest = _difference(got, want)
    if largest <= exercise.tolerance * max(1.0, float(want.abs().max()) if want.numel() else 0.0):
        return ""
    flat = int((got - want).abs().argmax())
    at = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), want.shape))
    where = f"[{', '.join(map(str, at))}]"
    words = f"the largest difference is {largest:.3g}, at {where}: yours {got[at]:.4g}, expected {want[at]:.4g}"
    return " ".join(filter(None, [words + ".", _likeness(got, want)]))


def _picture(exercise: Exercise, got: Any, want: Any, name: str) -> None:
    """Expected, yours and their difference as heatmaps, as far as they can be drawn."""
    if not isinstance(got, torch.Tensor) or not isinstance(want, torch.Tensor) or not 0 < got.numel() <= 10_000:
        return
    mine = got.detach()
    label = "yours"
    if mine.is_complex():
        mine, label = mine.real, "yours (real part)"
    if mine.dim() > 2:
        mine, label = mine.flatten(), f"{label}, flattened"
    if want.dim() > 2:
        want = want.flatten()
    panels = [("expected", want), (label, mine)]
    if mine.shape == want.shape:
        panels.append(("difference", mine - want))
    title = f"Exercise {exercise.id}: {name}" if name else f"Exercise {exercise.id}"
    plots.show(plots.matrices(panels, title, signed=True))


def _where(error: Exception, function: Callable) -> str:
    """The line of the learner's own function that raised."""
    name = getattr(function, "__name__", "")
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.name == name]
    return f" at `{lines[-1]}`" if lines and lines[-1] else ""


def _not_yet(exercise: Exercise, why: str, arguments: tuple) -> None:
    print(f"[NOT YET] Exercise {exercise.id} ({exercise.title}), input {_given(arguments)}: {why}")
    print(f"  Hint: {exercise.hint}")
    print("  The reference is used below.")


def check(exercise: Exercise, function: Callable) -> Callable:
    """Run a learner's function on the exercise's inputs, say how it went, return it if right, else the reference."""
    generator = torch.Generator().manual_seed(SEED)
    cases = exercise.inputs(generator)
    for arguments in cases:
        want = exercise.reference(*copy.deepcopy(arguments))
        try:
            # A copy: a function that changes its arguments must not change what is reported.
            got = function(*copy.deepcopy(arguments))
        except NotImplementedError:
            print(f"Exercise {exercise.id} not attempted: the reference is used below.")
            return exercise.reference
        except Exception as error:  # whatever a learner's code may raise is reported, and the notebook goes on
            why = f"it raised {type(error).__name__}{_where(error, function)}: {error}"
            _not_yet(exercise, why, arguments)
            return exercise.reference
        wants = want if isinstance(want, tuple) else (want,)
        if isinstance(want, tuple) and not (isinstance(got, tuple | list) and len(got) == len(want)):
            what = f"{len(got)} values" if isinstance(got, tuple | list) else f"one {type(got).__name__}"
            _not_yet(exercise, f"it returned {what}, expected a tuple of {len(want)}", arguments)
            return exercise.reference
        gots = got if isinstance(want, tuple) else (got,)
        for i, (one, right) in enumerate(zip(gots, wants, strict=True)):
            name = f"value {i + 1} of {len(wants)}" if len(wants) > 1 else ""
            why = _compare(exercise, one, right)
            if why:
                _not_yet(exercise, f"{name}: {why}" if name else why, arguments)
                _picture(exercise, one, right, name)
                return exercise.reference
    print(f"[OK] Exercise {exercise.id} ({exercise.title}): right on all {len(cases)} inputs.")
    return function


def exercise(exercise_id: str) -> Callable[[Callable], Callable]:
    """Check the learner's function below against the dense truth, on seeded random float64 inputs of several shapes.

    The decorated name is the learner's function if it is right. If it raises NotImplementedError (not attempted), or
    is wrong in values, shape or dtype, or raises anything else, it is the reference, so that a notebook always runs
    through; a wrong answer is shown beside the right one for the first input on which they differ.

    Raises:
        ValueError: if there is no exercise of that id; the message names the nearest.

    >>> @exercise("03.3")
    ... def parameters(d_in, d_out, b):
    ...     raise NotImplementedError
    Exercise 03.3 not attempted: the reference is used below.
    >>> parameters(10, 7, 4)
    41
    """
    chosen = find(exercise_id)
    return lambda function: check(chosen, function)
