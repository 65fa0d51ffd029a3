"""The exercises of notebook 06, on the eight clusters."""

import torch

from ..exercise_inputs import rank_one_inputs
from ..exercise_type import Exercise, Question

EXERCISES = (
    Exercise(
        "06.1",
        "A rank-one layer without its matrix",
        1,
        5,
        "Do not build the matrix u v^T. Take the inner product of each point with v, then multiply u by it.",
        lambda u, v, x: x @ torch.outer(u, v).T,
        rank_one_inputs,
    ),
)

QUESTIONS: tuple[Question, ...] = ()
