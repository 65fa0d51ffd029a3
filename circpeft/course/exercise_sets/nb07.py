"""The exercises and questions of notebook 07, on injecting, merging and sharing adapters."""

import torch

from ..exercise_inputs import SIZES, merge_inputs, random
from ..exercise_type import Exercise, Question, Twin
from .matrices import blocks, column, row


def merged_c3a(weight: torch.Tensor, w: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return W0 + (alpha / d_in) C, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: weight W0 (m*b, n*b), w (m, n, b).
    """
    return weight + alpha / weight.shape[1] * blocks(w)


def summed_kernel(first: torch.Tensor, second: torch.Tensor, s: float, t: float) -> torch.Tensor:
    """Return the row-layout kernel of s C_row(first) + t C_column(second). All are (b,)."""
    return (s * row(first) + t * column(second))[0]  # in the row layout the kernel is the first row


def merged_by_indices(weight, w, alpha):
    m, n, b = w.shape
    i = torch.arange(b)
    grid = w[:, :, (i[None, :] - i[:, None]) % b]  # (m, n, b, b)
    return weight + alpha / weight.shape[1] * grid.transpose(1, 2).reshape(m * b, n * b)


def summed_in_one_layout(first, second, s, t):
    return s * first + t * second.flip(-1).roll(1, -1)


def reversed_kernel(w):
    """Return the kernels of the same circulants in the other layout: entry k is w[-k mod b]."""
    return w.flip(-1).roll(1, -1)


def merged_without_swap(weight, w, alpha):
    """Return what the solution of 07.1 returns if the axes of blocks and entries are not swapped."""
    grid = torch.stack([row(kernel) for kernel in w.flatten(0, 1)])
    return weight + alpha / weight.shape[1] * grid.reshape(weight.shape)


MERGING_TWINS = (
    Twin(
        "layout exchanged",
        "The kernels are taken as first columns. In the row layout entry (i, j) of a block is w[(j - i) mod b].",
        lambda weight, w, alpha: merged_c3a(weight, reversed_kernel(w), alpha),
    ),
    Twin(
        "scale missing",
        "The blocks are multiplied by alpha, but alpha is not divided by the number of input features.",
        lambda weight, w, alpha: weight + alpha * blocks(w),
    ),
    Twin(
        "divided by the output features",
        "The scale is alpha divided by the number of inputs, which is the number of columns of the weight.",
        lambda weight, w, alpha: weight + alpha / weight.shape[0] * blocks(w),
    ),
    Twin(
        "divided by the block size",
        "The scale is alpha divided by d_in = n b, not by b. They are equal only if one block is as wide as the layer.",
        lambda weight, w, alpha: weight + alpha / w.shape[2] * blocks(w),
    ),
    Twin(
        "axes not swapped",
        "The blocks are right, but (m, n, b, b) is reshaped to (m b, n b) directly. Swap the second and the third axis "
        "first, so that a row runs through all blocks beside each other.",
        merged_without_swap,
    ),
    Twin(
        "weight left out",
        "This is the change of the weight, without the weight itself.",
        lambda weight, w, alpha: alpha / weight.shape[1] * blocks(w),
    ),
)

SUM_TWINS = (
    Twin(
        "layouts ignored",
        "The kernels are added as if both were in the row layout. Convert the second one first.",
        lambda first, second, s, t: s * first + t * second,
    ),
    Twin(
        "values swapped",
        "The first kernel is converted, not the second. This is the kernel of the sum in the column layout.",
        lambda first, second, s, t: s * reversed_kernel(first) + t * second,
    ),
    Twin(
        "one off",
        "The second kernel is reversed, but entry 0 has to stay in its place: k -> -k mod b keeps 0. Roll by one.",
        lambda first, second, s, t: s * first + t * second.flip(-1),
    ),
    Twin(
        "factors left out",
        "The layouts are right, but s and t are missing.",
        lambda first, second, s, t: first + reversed_kernel(second),
    ),
)

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
        twins=MERGING_TWINS,
        solution=merged_by_indices,
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
        twins=SUM_TWINS,
        solution=summed_in_one_layout,
    ),
)

QUESTIONS = (
    Question(
        "07.q1",
        "CDVFT trains two diagonals and one circulant kernel in each layer. At the start the kernel is zero and the "
        "diagonals are ones. How many of the three have a gradient other than zero at the first step?",
        1,
        "The gradient of each factor contains the two others. Only the kernel's does not contain a zero.",
        wrong={
            3: "The gradient of a diagonal contains the circulant as a factor, and that is zero at the start.",
            2: "Those are the diagonals. Their gradients contain the circulant, which is zero at the start.",
            0: "Then training could not leave the start. Which gradient contains only the two diagonals?",
        },
    ),
    Question(
        "07.q2",
        "A random ΔW is merged into the bfloat16 weight of a real layer, and |ΔW| is a thousandth of |W0|. How much of "
        "ΔW survives?",
        "b",
        "Half of a weight's last bit is 1/512 to 1/256 of it, and smaller changes are lost. So the changes of small "
        "weights survive, and those of large ones do not.",
        choices={"a": "all of it, up to 1 %", "b": "between 30 and 95 %", "c": "less than 10 %"},
        wrong={
            "a": "That holds for a float32 weight. A bfloat16 number has only 8 significant bits.",
            "c": "For many weights that is so. But some are far smaller than the others, and so is their last bit.",
        },
    ),
    Question(
        "07.q3",
        "For d = 6, a product A3 C A1 has 3 d - 2 = 16 degrees of freedom. How many have the sums of two such "
        "products?",
        32,
        "The two products can be chosen independently, and 6 × 6 = 36 entries have room for both.",
        wrong={
            16: "Those are the degrees of freedom of one product. The second one can be chosen freely, too.",
            36: "Those of all 6 × 6 matrices, which are more. Each of the two products has 16.",
        },
    ),
    Question(
        "07.q4",
        "In PEFT 0.18 to 0.21.2, two adapters of its C3A are active on one layer. What does the layer compute?",
        "b",
        "Each adapter gets the output of the one before it as its input. LoRA and circpeft add the outputs.",
        choices={"a": "W0 x + ΔW1 x + ΔW2 x", "b": "W0 x + ΔW1 x + ΔW2 ΔW1 x", "c": "W0 x + ΔW2 x"},
        wrong={
            "a": "That is what LoRA and circpeft compute.",
            "c": "The second adapter does not replace the first one.",
        },
    ),
)
