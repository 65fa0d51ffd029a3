"""Check a learner's function on all inputs of an exercise, and print what is wrong with it."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ... import plots
from ...escaping import print_text
from ..exercise_type import Exercise
from .attempts import attempt
from .calls import allowed, call
from .diagnosis import Case, diagnose
from .values import difference

SEED = 0


def check(exercise: Exercise, function: Callable) -> bool:
    """Return True if a learner's function is right on all inputs of an exercise, and print the result."""
    cases, verdicts = [], []
    for arguments in exercise.inputs(torch.Generator().manual_seed(SEED)):
        want = exercise.reference(*copy.deepcopy(arguments))
        case = Case(arguments, want, call(exercise, function, arguments))
        verdict, error = attempt(_what_is_wrong, exercise, case)
        if error is not None:  # the value has a class of the learner's, or is of a kind that torch cannot compare
            kind = type(case.outcome.value).__name__
            problem = f"it returned a {kind}, and comparing it raised {type(error).__name__}"
            case, verdict = replace(case, outcome=replace(case.outcome, problem=problem)), (problem, None)
        cases.append(case)
        verdicts.append(verdict)
        if not (cases[0].outcome.attempted):
            print_text(f"Exercise {exercise.id} not attempted; the cells below use the reference answer.")
            return False
        if cases[-1].outcome.last:
            break
    matrix = next((case.outcome.matrix for case in cases if case.outcome.matrix), "")
    for case, (reason, picture) in zip(cases, verdicts, strict=True):
        if reason:
            print_text(f"[NOT YET] Exercise {exercise.id} ({exercise.title}), input {case.shapes}: {reason}")
            advice = "" if case.outcome.problem else diagnose(exercise, cases)
            _print_lines(advice, f"Also, {matrix}{allowed(exercise)}" if matrix else "", _offer(exercise))
            if picture:
                _show_heatmaps(exercise, *picture)
            return False
    if matrix:
        refused = f"{matrix}{allowed(exercise)}"
        print_text(f"[NOT YET] Exercise {exercise.id} ({exercise.title}): the values are right, but {refused}")
        _print_lines(_offer(exercise))
        return False
    print_text(f"[OK] Exercise {exercise.id} ({exercise.title}): right on all {len(cases)} inputs.")
    return True


def _offer(exercise: Exercise) -> str:
    """Return where help is, and what the notebook does meanwhile."""
    hint, solution = (f'circpeft.course.{name}("{exercise.id}")' for name in ("hint", "solution"))
    return f"Hint: {hint}. Code: {solution}. The cells below use the reference answer."


def _print_lines(*texts: str) -> None:
    for text in filter(None, texts):
        print_text(f"  {text}")


def _what_is_wrong(exercise: Exercise, case: Case) -> tuple[str, tuple | None]:
    """Return why one outcome is wrong ("" if it is right), and what to draw: a value, the expected one, a name."""
    if case.outcome.problem:
        return case.outcome.problem, None
    got, want = case.outcome.value, case.want
    if not isinstance(want, tuple):
        reason = difference(got, want, exercise.tolerance)
        return reason, (got, want, "")
    if not (isinstance(got, tuple | list) and len(got) == len(want)):
        count = f"{len(got)} values" if isinstance(got, tuple | list) else f"one {type(got).__name__}"
        return f"it returned {count}, expected a tuple of {len(want)}", None
    for i, (value, expected) in enumerate(zip(got, want, strict=True)):
        reason, name = difference(value, expected, exercise.tolerance), f"value {i + 1} of {len(want)}"
        if reason:
            return f"{name}: {reason}", (value, expected, name)
    return "", None


def _show_heatmaps(exercise: Exercise, got: Any, want: Any, name: str) -> None:
    """Show the expected and returned values and their difference as heatmaps, if they are tensors of drawable size."""
    if not isinstance(want, torch.Tensor) or type(got) not in (torch.Tensor, torch.nn.Parameter):
        return
    if (got.layout, got.device) != (want.layout, want.device) or got.is_nested or got.is_quantized:
        return
    if not 0 < got.numel() <= 10_000 or not want.numel():
        return
    want, yours, label = _plain(want), _plain(got), "yours"
    if want.is_complex():  # two rows: real parts and imaginary parts
        want, yours = (torch.stack([v.real, v.imag]) for v in (want, yours.to(want.dtype)))
        name = f"{name}, real and imaginary part".removeprefix(", ")
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


def _plain(values: torch.Tensor) -> torch.Tensor:
    """Return values that can be subtracted, also those of truth values and of formats of few bits."""
    return values.detach().to(torch.complex128 if values.is_complex() else torch.float64)
