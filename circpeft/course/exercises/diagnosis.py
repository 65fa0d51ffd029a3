"""Name the mistake behind wrong answers: a known wrong answer (a twin), or one simple change that would correct them.

A diagnosis is made only if it holds on every input that both functions can handle, and explains errors on two or more
inputs that differ in their shapes or numbers. Where several known wrong answers fit equally well, all are named.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..exercise_type import Exercise, Twin
from .calls import Outcome
from .values import same


@dataclass(frozen=True)
class Case:
    """One input of an exercise, the expected value, and the outcome of the learner's function."""

    arguments: tuple
    want: Any
    outcome: Outcome

    @property
    def shapes(self) -> str:
        """The shapes of the tensors and the values of the other arguments, cut off after 100 characters."""
        values = [str(tuple(v.shape)) if isinstance(v, torch.Tensor) else repr(v) for v in self.arguments]
        text = ", ".join(values)
        return text if len(text) <= 100 else text[:97] + "..."


def diagnose(exercise: Exercise, cases: list[Case]) -> str:
    """Return sentences that name the mistake, or "" if no known mistake explains the learner's values."""
    comparable = [case for case in cases if not case.outcome.problem]
    matching = [twin for twin in exercise.twins if _wrote(twin, comparable)]
    if len(matching) == 1:
        return f'Your answer has a known mistake ("{matching[0].name}"). {matching[0].message}'
    if matching:
        listed = " Or: ".join(f'"{twin.name}". {twin.message}' for twin in matching)
        return f"Your values fit {len(matching)} known mistakes. {listed}"
    return _simple_change(comparable, "conjugate one spectrum more or fewer" if "fft" in exercise.allowed else "")


def _wrote(twin: Twin, cases: list[Case]) -> bool:
    """Return True if the twin has the learner's values on all inputs, two or more of them wrong and unlike."""
    explained = set()
    for case in cases:
        try:
            value = twin.function(*copy.deepcopy(case.arguments))
        except Exception:  # a wrong answer may fail on some inputs; there it explains nothing
            continue
        if not same(case.outcome.value, value):
            return False
        if not same(value, case.want):
            explained.add(case.shapes)
    return len(explained) >= 2


def _simple_change(cases: list[Case], reversal: str = "") -> str:
    """Return which transpose, reversal, shift or factor makes all values right, or "".

    Args:
        cases: the inputs whose values can be compared.
        reversal: what corrects a reversed index in this exercise; "": the sign of an index.
    """
    pairs = [(case.outcome.value, case.want) for case in cases]
    if not all(_comparable(got, want) for got, want in pairs):
        return ""
    if len({case.shapes for case in cases if not same(case.outcome.value, case.want)}) < 2:
        return ""

    def corrects(change: Callable) -> bool:
        return all(same(change(got), want) for got, want in pairs)

    if all(want.dim() == 2 and want.shape[0] == want.shape[1] for _, want in pairs) and corrects(lambda got: got.T):
        return "Each result is the transpose of the right answer: swap rows and columns."
    if all(want.dim() == 1 for _, want in pairs):
        if corrects(lambda got: got.flip(0).roll(1)):
            advice = reversal or "check the signs of the indices"
            return f"Each result is the right answer with its index reversed, k -> -k mod b: {advice}."
        shift = next((s for s in (1, -1, 2, -2) if corrects(lambda got, s=s: got.roll(s))), None)
        if shift:
            return f"Rolled by {shift}, each result is the right answer: check where the index starts."
    factor = _common_factor(pairs)
    return (
        f"Each result is {factor:.4g} times the right answer: check for a missing or an extra factor." if factor else ""
    )


def _comparable(got: Any, want: Any) -> bool:
    if not (isinstance(got, torch.Tensor) and isinstance(want, torch.Tensor)):
        return False
    alike = (got.shape, got.dtype, got.layout, got.device) == (want.shape, want.dtype, want.layout, want.device)
    return alike and got.dtype == torch.float64


def _common_factor(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float | None:
    """Return the one factor between all values and the expected ones, or None if there is no such factor."""
    got, want = (torch.cat([pair[i].detach().flatten() for pair in pairs]) for i in (0, 1))
    factor = float((got * want).sum() / (want * want).sum().clamp_min(1e-300))
    if abs(factor) < 1e-12 or not all(same(mine, factor * right) for mine, right in pairs):
        return None
    return factor
