"""The exercises and questions of notebook 09, on images."""

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Question, Twin


def patches(image: torch.Tensor, p: int) -> torch.Tensor:
    """Return the patches of an image (colours, s, s) in reading order, as ((s / p)^2, colours * p * p)."""
    _, s, _ = image.shape
    pieces = [image[:, i : i + p, j : j + p].flatten() for i in range(0, s, p) for j in range(0, s, p)]
    return torch.stack(pieces)


def patches_by_axes(image, p):
    colours, s, _ = image.shape
    grid = image.view(colours, s // p, p, s // p, p)
    return grid.permute(1, 3, 0, 2, 4).reshape((s // p) ** 2, colours * p * p)


def axes_moved(image, p, *order):
    """Return the patches for an order of the axes (colour, patch row, row, patch column, column)."""
    colours, s, _ = image.shape
    return image.view(colours, s // p, p, s // p, p).permute(order).reshape((s // p) ** 2, colours * p * p)


TWINS = (
    Twin(
        "reshaped directly",
        "Reshaping keeps the numbers in their order, so each row holds rows of pixels. Move the patch axes first.",
        lambda image, p: image.reshape(-1, image.shape[0] * p * p),
    ),
    Twin(
        "colour last",
        "The patches are right, but their numbers come row, column, colour. The order is colour, row, column.",
        lambda image, p: axes_moved(image, p, 1, 3, 2, 4, 0),
    ),
    Twin(
        "columns before rows",
        "The patches go down the columns of the image. In reading order they go along the rows.",
        lambda image, p: axes_moved(image, p, 3, 1, 0, 2, 4),
    ),
    Twin(
        "patches transposed",
        "The order of the patches is right, but inside each patch rows and columns are exchanged.",
        lambda image, p: axes_moved(image, p, 1, 3, 0, 4, 2),
    ),
)

EXERCISES = (
    Exercise(
        "09.1",
        "Cutting an image into patches",
        2,
        10,
        "View each side as two axes (patches, p), then move the two patch axes to the front.",
        patches,
        lambda g: [(random(g, 3, side, side), p) for side, p in ((6, 3), (4, 2), (8, 8), (5, 1), (12, 4))],
        twins=TWINS,
        solution=patches_by_axes,
    ),
)

QUESTIONS = (
    Question(
        "09.q1",
        "LoRA with r = 8 changes a layer of 128 × 128 weights. At least how many of the 128 singular values of its ΔW "
        "are zero?",
        120,
        "B A has rank 8 at most, so at most 8 singular values differ from zero.",
        wrong={
            8: "That is how many may differ from zero.",
            0: "That holds for a circulant of random numbers. LoRA's ΔW is a product of two thin matrices.",
        },
    ),
    Question(
        "09.q2",
        "With 100 training images instead of 1,611, which method loses most?",
        "a",
        "With all images full fine-tuning leads, and with 100 it does not. The three others lose about the same.",
        choices={"a": "full fine-tuning", "b": "LoRA", "c": "C3A", "d": "CDVFT"},
        wrong={
            "b": "LoRA trains few numbers, like C3A and CDVFT. Which method trains all of them?",
            "c": "C3A trains the fewest numbers, so it can fit the fewest functions.",
            "d": "CDVFT trains few numbers, like C3A and LoRA. Which method trains all of them?",
        },
    ),
    Question(
        "09.q3",
        "Where is the price of PEFT's wrong input gradient highest, at one learning rate on the digits?",
        "c",
        "The more adapters there are above a layer, the more of its gradient is wrong. A larger block has more to "
        "transpose.",
        choices={
            "a": "one adapted layer, blocks of 128",
            "b": "all layers adapted, blocks of 8",
            "c": "all layers adapted, blocks of 128",
        },
        wrong={
            "a": "Only layers below an adapter get a wrong gradient. Here these are few.",
            "b": "Circulants of size 1 and 2 equal their transposes. Small blocks are closer to that than large ones.",
        },
    ),
)
