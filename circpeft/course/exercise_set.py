"""The exercises of the course: title, hint, reference answer and test inputs of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .exercise_inputs import SIZES, block_inputs, merge_inputs, random, rank_inputs, rank_one_inputs, vectors
from .reference_answers import (
    answer_labels,
    block_forward,
    c3a_parameters,
    cdvft_forward,
    cdvft_gradients,
    cdvft_parameters,
    cheaper_from,
    column,
    column_gradients,
    least_bytes,
    merged_c3a,
    padded_parameters,
    patches,
    rank_of_circulant,
    row,
    summed_kernel,
)


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


_ALL = (
    Exercise(
        "01.1",
        "The circulant of a vector",
        1,
        5,
        "Entry (i, j) depends only on i - j. Build the matrix of indices (i - j) mod b by broadcasting, and index c.",
        column,
        vectors(1),
    ),
    Exercise(
        "01.2",
        "Circular convolution by FFT",
        1,
        5,
        "The FFT turns circular convolution into an entrywise product. Pass n=b to torch.fft.irfft: odd b needs it.",
        lambda c, x: column(c) @ x,
        vectors(2),
    ),
    Exercise(
        "01.3",
        "The rank of a circulant from its spectrum",
        2,
        10,
        "The eigenvalues are the FFT of c. Count those whose absolute value exceeds a threshold relative to the "
        "largest. The zero vector has rank 0. torch.fft.fft returns all b frequencies, torch.fft.rfft only about half.",
        rank_of_circulant,
        rank_inputs,
    ),
    Exercise(
        "02.1",
        "C3A's forward pass for one block",
        1,
        5,
        "If the kernel is the first row, y[i] = sum over k of w[k] x[(i + k) mod b]. This is a correlation, "
        "so one of the two spectra has to be conjugated.",
        lambda w, x: row(w) @ x,
        vectors(2),
    ),
    Exercise(
        "02.2",
        "The gradient for the input",
        2,
        10,
        "Because y = C x, the gradient is dx = C^T g. The transpose of a circulant with first row w is the circulant "
        "with first column w. The forward pass conjugates one spectrum. Is that still needed here?",
        lambda w, g: row(w).T @ g,
        vectors(2),
    ),
    Exercise(
        "02.3",
        "The gradient for the kernel",
        2,
        15,
        "Because y[i] = sum over k of w[k] x[(i + k) mod b], dw[k] = sum over i of g[i] x[(i + k) mod b]. "
        "This is the forward pass with another vector in place of the kernel.",
        lambda g, x: row(g) @ x,
        vectors(2),
    ),
    Exercise(
        "02.4",
        "The forward pass for many blocks",
        3,
        15,
        "Split x into n pieces of length b and transform them. Multiply them by the spectra of w, of shape "
        "(m, n, b//2 + 1), sum over n in the frequency domain, and transform the m results back.",
        block_forward,
        block_inputs,
    ),
    Exercise(
        "02.5",
        "Both gradients in the other layout",
        3,
        15,
        "Write y[i] = sum over j of w[(i - j) mod b] x[j]. Which outputs depend on w[k], and which on x[j]? Both "
        "gradients are correlations with g. Which spectrum is conjugated in each?",
        column_gradients,
        vectors(3),
    ),
    Exercise(
        "03.1",
        "CDVFT's forward pass",
        1,
        5,
        "A diagonal matrix times a vector is an elementwise product. The circulant in the middle is a convolution.",
        cdvft_forward,
        vectors(4),
    ),
    Exercise(
        "03.2",
        "CDVFT's gradients",
        3,
        20,
        "Name the steps u = a1 * x, v = C u, y = a3 * v, and go back one step at a time: da3 and dv from g, "
        "then dc and du from dv, then da1 and dx from du.",
        cdvft_gradients,
        vectors(5),
    ),
    Exercise(
        "03.3",
        "Counting CDVFT's parameters",
        1,
        5,
        "There are two diagonals, one as long as the input and one as long as the output. If b does not divide a "
        "side, the last block is padded. So round the number of blocks up: -(-d // b).",
        cdvft_parameters,
        lambda g: [(8, 8, 4), (768, 768, 768), (384, 1536, 384), (10, 7, 4), (4096, 11008, 2048), (5, 9, 16)],
    ),
    Exercise(
        "05.1",
        "Parameters on padded squares",
        1,
        5,
        "How many blocks of size p does the longer side need? The square has the same number along both sides.",
        padded_parameters,
        lambda g: [(4, 4, 4), (4096, 4096, 2048), (4096, 11008, 4096), (11008, 4096, 2048), (10, 7, 4)],
    ),
    Exercise(
        "05.2",
        "From how many tokens is it cheaper?",
        2,
        10,
        "Both costs are linear in the number of tokens. Where do the two lines meet? Which whole number comes next?",
        cheaper_from,
        lambda g: [(100, 1, 0, 3), (90, 1, 0, 4), (1000, 7, 13, 11), (5, 2, 4, 3), (864, 0, 0, 3)],
    ),
    Exercise(
        "06.1",
        "A rank-one layer without its matrix",
        1,
        5,
        "Do not build the matrix u v^T. Take the inner product of each point with v, then multiply u by it.",
        lambda u, v, x: x @ torch.outer(u, v).T,
        rank_one_inputs,
    ),
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
    Exercise(
        "08.1",
        "Counting C3A's trainable parameters",
        1,
        5,
        "A layer has (d_in / b) * (d_out / b) blocks. Each block has a kernel of b numbers.",
        c3a_parameters,
        lambda g: [
            ([(4, 4)], 4),
            ([(768, 768)] * 24, 768),
            ([(768, 768)] * 24, 128),
            ([(384, 384), (384, 1536), (1536, 384)] * 12, 384),
            ([(6, 9), (9, 3)], 3),
            ([], 8),
        ],
    ),
    Exercise(
        "09.1",
        "Cutting an image into patches",
        2,
        10,
        "View each side as two axes (patches, p), then move the two patch axes to the front.",
        patches,
        lambda g: [(random(g, 3, side, side), p) for side, p in ((4, 2), (6, 3), (8, 8), (5, 1), (12, 4))],
    ),
    Exercise(
        "10.1",
        "Labels for the answer only",
        1,
        5,
        "Copy ids and overwrite the start of the copy. Leave ids itself unchanged.",
        answer_labels,
        lambda g: [(random(g, size).mul(100).round(), prompt) for size, prompt in ((3, 1), (8, 5), (5, 0), (4, 4))],
    ),
    Exercise(
        "11.1",
        "A circulant matrix as a view",
        2,
        10,
        "Repeat the kernel without gaps. In each next row the numbers start one place earlier. Because the kernel "
        "repeats, that is the same as b - 1 places later.",
        row,
        vectors(1),
    ),
    Exercise(
        "11.2",
        "The least bytes of a fused adapter",
        1,
        5,
        "Forward: x and the base output are read, and the output is written. Backward: x, the output's gradient and "
        "the gradient of x from the base layer are read, and the gradient of x is written.",
        least_bytes,
        lambda g: [(1, 4, 4, 4), (1024, 768, 768, 4), (8192, 4096, 11008, 2), (7, 5, 3, 2)],
    ),
)

EXERCISES = {item.id: item for item in _ALL}
