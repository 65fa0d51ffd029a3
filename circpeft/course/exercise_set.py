"""The exercises of the course by their ids; those of notebooks 01 to 03 are in `method_exercises`."""

import torch

from .exercise_inputs import SIZES, merge_inputs, random, rank_one_inputs, vectors
from .exercise_type import Exercise
from .method_exercises import METHOD_EXERCISES
from .reference_answers import (
    answer_labels,
    c3a_parameters,
    cheaper_from,
    leaf_flops,
    least_bytes,
    merged_c3a,
    padded_parameters,
    patches,
    row,
    summed_kernel,
)

_LATER = (
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
    Exercise(
        "11.3",
        "The FLOPs of the leaves",
        2,
        10,
        "Two leaves are real, with matrices of d_in / R by d_out / R. The other R / 2 - 1 pairs have real matrices of "
        "twice that size in both directions.",
        leaf_flops,
        lambda g: [(1, 8, 8, 8), (2048, 4096, 4096, 32), (100, 384, 1536, 48), (7, 12, 24, 2)],
    ),
)

EXERCISES = {item.id: item for item in (*METHOD_EXERCISES, *_LATER)}
