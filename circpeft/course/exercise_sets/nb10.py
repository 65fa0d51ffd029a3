"""The exercises of notebook 10, on instructions."""

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Question


def answer_labels(ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Return the labels of a prompt and its answer: -100 for the first ``prompt`` tokens, then the token IDs."""
    return torch.cat([torch.full_like(ids[:prompt], -100), ids[prompt:]])


EXERCISES = (
    Exercise(
        "10.1",
        "Labels for the answer only",
        1,
        5,
        "Copy ids and overwrite the start of the copy. Leave ids itself unchanged.",
        answer_labels,
        lambda g: [(random(g, size).mul(100).round(), prompt) for size, prompt in ((3, 1), (8, 5), (5, 0), (4, 4))],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
