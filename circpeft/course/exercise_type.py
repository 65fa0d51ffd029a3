"""The types of an exercise, of its wrong answers, and of a question that is answered before reading on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Twin:
    """A wrong answer that learners write, told by name.

    Args:
        name: short, such as "conjugate missing".
        message: one or two sentences for the learner: what this function computes, and where it differs.
        function: the wrong answer. It takes the exercise's arguments, and must differ from the reference on two or
            more of its inputs.
    """

    name: str
    message: str
    function: Callable[..., Any]


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
        inputs: function from a seeded torch.Generator to a list of argument tuples (tensors are float64, and int64 if
            they hold labels or token IDs). The first input with a wrong answer is shown. So the first of all should be
            large enough to see a pattern, such as vectors of length 7. Inputs of several shapes tell twins apart.
        tolerance: largest absolute error of an answer that passes. If the largest absolute expected value is above 1,
            the limit is multiplied by it.
        twins: the wrong answers that the checker tells by name.
        importance: 1 (may be skipped), 2, or 3 (later sections build on it).
        allowed: what may be used, as the notebook has it after "Allowed:". Empty: anything.
        forbidden: dotted names of functions, methods, classes or modules that an answer may not call, such as
            "torch.roll", "torch.Tensor.roll", "torch.fft", "circpeft". The operator @ is "torch.Tensor.matmul",
            an index is "torch.Tensor.__getitem__".
        no_matrix: function of the arguments to the shapes (rows, columns) of the matrices that an answer may not
            build, transposed or in a batch either. None: it may build what it likes.
        solution: the answer as the notebook prints it, with FFTs where the reference has matrices. A function in the
            exercise's module: its source is what a learner who asks for the solution sees.
    """

    id: str
    title: str
    difficulty: int
    minutes: int
    hint: str
    reference: Callable[..., Any]
    inputs: Callable[[torch.Generator], list[tuple]]
    tolerance: float = 1e-9
    twins: tuple[Twin, ...] = ()
    importance: int = 2
    allowed: str = ""
    forbidden: tuple[str, ...] = ()
    solution: Callable[..., Any] | None = None
    no_matrix: Callable[..., Iterable[tuple[int, int]]] | None = None


@dataclass(frozen=True)
class Question:
    """A question to answer before reading on: a number, or one of several choices.

    Args:
        id: notebook and number, such as "02.q1".
        invitation: what is asked; printed as long as there is no answer.
        answer: the right number, or the letter of the right choice.
        explanation: why it is right, in one to three sentences; printed after a right answer.
        choices: text of each choice by its letter, such as {"a": "the rank halves"}. Empty if a number is asked for.
        wrong: what led to a wrong answer, by its number or letter. Every wrong choice has an entry.
        tolerance: largest absolute error of a number that is right.
    """

    id: str
    invitation: str
    answer: float | str
    explanation: str
    choices: Mapping[str, str] = field(default_factory=dict)
    wrong: Mapping[float | str, str] = field(default_factory=dict)
    tolerance: float = 0.0
