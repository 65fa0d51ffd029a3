"""The exercises of notebook 07, on injecting, merging and sharing adapters."""

import torch

from ..exercise_inputs import SIZES, merge_inputs, random
from ..exercise_type import Exercise, Question
from .matrices import blocks, column, row


def merged_c3a(weight: torch.Tensor, w: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return W0 + (alpha / d_in) C, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: weight W0 (m*b, n*b), w (m, n, b).
    """
    return weight + alpha / weight.shape[1] * blocks(w)


def summed_kernel(first: torch.Tensor, second: torch.Tensor, s: float, t: float) -> torch.Tensor:
    """Return the row-layout kernel of s C_row(first) + t C_column(second). All are (b,)."""
    return (s * row(first) + t * column(second))[0]  # in the row layout the kernel is the first row


EXERCISES = (
    Exercise(
        "07.1",
        "Merging C3A into a weight",
        2,
        10,
        "Each kernel of length b is the first row of its b by b block: entry (i, j) of the block is w[(j - i) mod b]. "
        "Arrange the blocks in their (m, n) grid. The scale is alpha divided by the number of input features.",
        merged_c3a,
        merge_inputs,
    ),
    Exercise(
        "07.2",
        "One kernel for adapters of two layouts",
        2,
        10,
        "If c is the first column of a circulant, entry k of its first row is c[-k mod b]. Convert the second kernel "
        "to the row layout in this way. Kernels of the same layout can be added like their matrices.",
        summed_kernel,
        lambda g: [(random(g, b), random(g, b), 0.7, -1.5) for b in SIZES],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
