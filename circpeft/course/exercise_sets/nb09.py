"""The exercises of notebook 09, on images."""

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Question


def patches(image: torch.Tensor, p: int) -> torch.Tensor:
    """Return the patches of an image (colours, s, s) in reading order, as ((s / p)^2, colours * p * p)."""
    _, s, _ = image.shape
    pieces = [image[:, i : i + p, j : j + p].flatten() for i in range(0, s, p) for j in range(0, s, p)]
    return torch.stack(pieces)


EXERCISES = (
    Exercise(
        "09.1",
        "Cutting an image into patches",
        2,
        10,
        "View each side as two axes (patches, p), then move the two patch axes to the front.",
        patches,
        lambda g: [(random(g, 3, side, side), p) for side, p in ((4, 2), (6, 3), (8, 8), (5, 1), (12, 4))],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
