"""The `exercise` decorator, which checks a learner's function against the reference answer."""

import copy
import math
import traceback
from collections.abc import Callable
from typing import Any

import torch

from .. import plots
from ..suggest import nearest
from .exercise_sets import EXERCISES
from .exercise_type import Exercise

SEED = 0


def find(exercise_id: str) -> Exercise:
    """Return the exercise with the given id.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> find("02.1").difficulty
    1
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    raise ValueError(f"unknown exercise {exercise_id!r}; {nearest(exercise_id, EXERCISES)}")


def _describe_input(arguments: tuple) -> str:
    """Return the shapes of the tensors and the values of the other arguments, cut off after 100 characters."""
    text = ", ".join(str(tuple(v.shape)) if isinstance(v, torch.Tensor) else repr(v) for v in arguments)
    return text if len(text) <= 100 else text[:97] + "..."


def _suggest_correction(got: torch.Tensor, want: torch.Tensor) -> str:
    """Return advice if a simple change (transpose, reversal, shift, scale) makes the answer right, else ""."""

    def same(a, b):
        return torch.allclose(a, b, rtol=1e-8, atol=1e-10)

    if want.dim() == 2 and want.shape[0] == want.shape[1] and same(got.T, want):
        return "It is the transpose of the right answer: swap rows and columns."
    if want.dim() == 1 and len(want) > 2:
        if same(got.flip(0).roll(1), want):
            return (
                "It is the right answer with its index reversed (k -> -k mod b): conjugate one spectrum more or fewer."
            )
        for shift in range(1, len(want)):
            if same(got.roll(shift), want):
                return f"Rolled by {shift} it is the right answer: check where the index starts."
    scale = float((got * want).sum() / (want * want).sum().clamp_min(1e-300))
    if abs(scale) > 1e-12 and same(got / scale, want):
        return f"It is {scale:.4g} times the right answer: check for a missing or extra factor."
    return ""


def _to_python_number(got: Any) -> Any:
    """Return a zero-dimensional tensor or NumPy number as a Python number, and anything else unchanged."""
    if not isinstance(got, bool) and hasattr(got, "item") and getattr(got, "shape", None) == ():
        return got.item()
    return got


def _compare(exercise: Exercise, got: Any, want: Any) -> str:
    """Return what is wrong with one value of an answer, or "" if it is right."""
    if got is None:
        return "the function returned None: is a `return` missing?"
    if isinstance(want, int):
        got = _to_python_number(got)
        if type(got) is not int:
            return f"returned {got!r} ({type(got).__name__}), expected an int"
        return "" if got == want else f"returned {got}, expected {want}; they differ by {abs(got - want)}"
    if isinstance(want, float):
        return _compare_floats(exercise, _to_python_number(got), want)
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
    largest = float((got - want).abs().max()) if want.numel() else 0.0
    if largest <= exercise.tolerance * max(1.0, float(want.abs().max()) if want.numel() else 0.0):
        return ""
    index = tuple(int(i) for i in torch.unravel_index((got - want).abs().argmax(), want.shape))
    position = f"[{', '.join(map(str, index))}]"
    text = (
        f"the largest difference is {largest:.3g}, at {position}: yours {got[index]:.4g}, expected {want[index]:.4g}."
    )
    return " ".join(filter(None, [text, _suggest_correction(got, want)]))


def _compare_floats(exercise: Exercise, got: Any, want: float) -> str:
    """Return what is wrong with a number; its error is relative, because the expected number may be small."""
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return f"returned {got!r} ({type(got).__name__}), expected a number"
    if math.isclose(got, want, rel_tol=exercise.tolerance):
        return ""
    factor = f"; yours is {got / want:.4g} times as large" if want else ""
    return f"returned {got:.6g}, expected {want:.6g}{factor}"


def _show_heatmaps(exercise: Exercise, got: Any, want: Any, name: str) -> None:
    """Show the expected and returned values and their difference as heatmaps, if they are tensors of drawable size."""
    if not isinstance(got, torch.Tensor) or not isinstance(want, torch.Tensor) or not 0 < got.numel() <= 10_000:
        return
    yours, label = got.detach(), "yours"
    if yours.is_complex():
        yours, label = yours.real, "yours (real part)"
    if yours.dim() > 2:
        yours, label = yours.flatten(), f"{label}, flattened"
    if want.dim() > 2:
        want = want.flatten()
    panels = [("expected", want), (label, yours)]
    if yours.shape == want.shape:
        panels.append(("difference", yours - want))
    title = f"Exercise {exercise.id}: {name}" if name else f"Exercise {exercise.id}"
    plots.show(plots.matrices(panels, title, signed=True))


def _raising_line(error: Exception, function: Callable) -> str:
    """Return " at `LINE`", with the line of the learner's function that raised the error, or "" if it is not known."""
    name = getattr(function, "__name__", "")
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.name == name]
    return f" at `{lines[-1]}`" if lines and lines[-1] else ""


def _report_wrong(exercise: Exercise, reason: str, arguments: tuple) -> None:
    print(f"[NOT YET] Exercise {exercise.id} ({exercise.title}), input {_describe_input(arguments)}: {reason}")
    print(f"  Hint: {exercise.hint}")
    print("  The cells below use the reference answer.")


def check(exercise: Exercise, function: Callable) -> Callable:
    """Check a learner's function on all inputs of an exercise and print the result.

    Returns: the learner's function if it is right, otherwise the reference answer.
    """
    generator = torch.Generator().manual_seed(SEED)
    cases = exercise.inputs(generator)
    for arguments in cases:
        want = exercise.reference(*copy.deepcopy(arguments))
        try:
            # The function gets a copy, because it may change its arguments, which are reported below.
            got = function(*copy.deepcopy(arguments))
        except NotImplementedError:
            print(f"Exercise {exercise.id} not attempted; the cells below use the reference answer.")
            return exercise.reference
        except Exception as error:  # any error of the learner's code is reported, and the notebook continues
            reason = f"it raised {type(error).__name__}{_raising_line(error, function)}: {error}"
            _report_wrong(exercise, reason, arguments)
            return exercise.reference
        expected = want if isinstance(want, tuple) else (want,)
        if isinstance(want, tuple) and not (isinstance(got, tuple | list) and len(got) == len(want)):
            count = f"{len(got)} values" if isinstance(got, tuple | list) else f"one {type(got).__name__}"
            _report_wrong(exercise, f"it returned {count}, expected a tuple of {len(want)}", arguments)
            return exercise.reference
        returned = got if isinstance(want, tuple) else (got,)
        for i, (value, expected_value) in enumerate(zip(returned, expected, strict=True)):
            name = f"value {i + 1} of {len(expected)}" if len(expected) > 1 else ""
            reason = _compare(exercise, value, expected_value)
            if reason:
                _report_wrong(exercise, f"{name}: {reason}" if name else reason, arguments)
                _show_heatmaps(exercise, value, expected_value, name)
                return exercise.reference
    print(f"[OK] Exercise {exercise.id} ({exercise.title}): right on all {len(cases)} inputs.")
    return function


def exercise(exercise_id: str) -> Callable[[Callable], Callable]:
    """Decorate a learner's function: check it against the reference answer on seeded random inputs of several shapes.

    The decorated name is the learner's function if its values, shapes and dtypes are right. Otherwise it is the
    reference answer, so that the notebook always runs to its end. This also holds if the function raises
    NotImplementedError (not attempted) or another error. For the first input with a wrong answer, the expected and the
    returned values are shown beside each other.

    Raises:
        ValueError: if there is no such exercise; the message names the nearest id.

    >>> @exercise("03.3")
    ... def parameters(d_in, d_out, b):
    ...     raise NotImplementedError
    Exercise 03.3 not attempted; the cells below use the reference answer.
    >>> parameters(10, 7, 4)
    41
    """
    chosen = find(exercise_id)
    return lambda function: check(chosen, function)
