"""The type of an exercise: title, hint, reference answer and test inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook, and how its answers are checked.

    Args:
        id: notebook and number, such as "02.1".
        title: what the learner computes; the same as in the heading of the exercise in the notebook.
        difficulty: 1 (apply a formula of the text), 2 (a derivation), 3 (a derivation with a trap).
        minutes: estimated time for a learner who has just read the section.
        hint: the first step towards the answer.
        reference: the reference answer; the notebook uses it until the learner's answer is right.
        inputs: function from a seeded torch.Generator to a list of argument tuples (tensors are float64).
        tolerance: largest absolute error of an answer that passes. If the largest absolute expected value is above 1,
            the limit is multiplied by it.
    """

    id: str
    title: str
    difficulty: int
    minutes: int
    hint: str
    reference: Callable[..., Any]
    inputs: Callable[[torch.Generator], list[tuple]]
    tolerance: float = 1e-9
