"""The exercises and questions of notebook 11, on speed and memory."""

import torch

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Question, Twin
from .matrices import row


def circulant_of_first_row(c: torch.Tensor) -> torch.Tensor:
    """Return the circulant (b, b) with first row c (b,)."""
    return row(c)


def least_bytes(tokens: int, d_in: int, d_out: int, size: int) -> int:
    """Return the least number of bytes that a training step moves for an adapter fused with adding the base output.

    Forward, x and the base output are read and the output is written. Backward, x, the gradient of the output and the
    base layer's gradient of x are read, and the gradient of x is written.
    """
    return size * tokens * ((d_in + 2 * d_out) + (d_in + d_out + 2 * d_in))


def leaf_flops(tokens: int, d_in: int, d_out: int, R: int) -> int:
    """Return the FLOPs of the products of all leaves, without those with zeros: two real leaves and R/2 - 1 pairs."""
    sides = [(1, 1), (1, 1)] + [(2, 2)] * (R // 2 - 1)
    return sum(2 * tokens * (rows * d_in // R) * (columns * d_out // R) for rows, columns in sides)


def circulant_view(c):
    b = len(c)
    return c.repeat(b).as_strided((b, b), (b - 1, 1))


def fused_bytes(tokens, d_in, d_out, size):
    forward = d_in + 2 * d_out
    backward = d_in + d_out + 2 * d_in
    return size * tokens * (forward + backward)


def flops_of_leaves(tokens, d_in, d_out, R):
    real = 2 * tokens * (d_in // R) * (d_out // R)
    return 2 * real + (R // 2 - 1) * 4 * real


VIEW_TWINS = (
    Twin(
        "layout exchanged",
        "This is the circulant whose first column is c. Here c should be its first row.",
        lambda c: circulant_view(c).T,
    ),
    Twin(
        "shifted the other way",
        "Each row starts one place later, so entry (i, j) is c[(i + j) mod b]. It has to start one place earlier, "
        "which is b - 1 places later.",
        lambda c: c.repeat(len(c) + 2).as_strided((len(c), len(c)), (len(c) + 1, 1)),
    ),
    Twin(
        "rows not shifted",
        "Every row is c itself: a step of b numbers between two rows of a kernel that repeats after b.",
        lambda c: c.repeat(len(c), 1),
    ),
)

BYTES_TWINS = (
    Twin(
        "forward only",
        "This counts the forward pass. The backward pass reads and writes, too.",
        lambda tokens, d_in, d_out, size: size * tokens * (d_in + 2 * d_out),
    ),
    Twin(
        "numbers instead of bytes",
        "This counts numbers. Each has `size` bytes.",
        lambda tokens, d_in, d_out, size: tokens * (4 * d_in + 3 * d_out),
    ),
    Twin(
        "base output not read",
        "A fused adapter adds its result to the base output. So the forward pass reads the base output, too.",
        lambda tokens, d_in, d_out, size: size * tokens * (4 * d_in + 2 * d_out),
    ),
    Twin(
        "base gradient not read",
        "The backward pass adds the gradient of x to the base layer's. So it reads that gradient first.",
        lambda tokens, d_in, d_out, size: size * tokens * (3 * d_in + 3 * d_out),
    ),
    Twin(
        "backward like forward",
        "The backward pass is counted like the forward pass. It reads x and both gradients, and writes one.",
        lambda tokens, d_in, d_out, size: size * tokens * 2 * (d_in + 2 * d_out),
    ),
)

FLOPS_TWINS = (
    Twin(
        "zeros counted",
        "This counts R / 2 matrices of the double size. The first of them holds two real leaves, and zeros.",
        lambda tokens, d_in, d_out, r: 4 * tokens * d_in * d_out // r,
    ),
    Twin(
        "multiply-adds",
        "This counts a multiplication and an addition as one. Count them as two.",
        lambda tokens, d_in, d_out, r: leaf_flops(tokens, d_in, d_out, r) // 2,
    ),
    Twin(
        "all leaves real",
        "This counts R real leaves. A pair of complex ones is a real matrix of twice the size in both directions.",
        lambda tokens, d_in, d_out, r: r * 2 * tokens * (d_in // r) * (d_out // r),
    ),
    Twin(
        "real leaves left out",
        "This counts only the complex pairs. Two real leaves belong to it.",
        lambda tokens, d_in, d_out, r: (r // 2 - 1) * 8 * tokens * (d_in // r) * (d_out // r),
    ),
)

EXERCISES = (
    Exercise(
        "11.1",
        "A circulant matrix as a view",
        2,
        10,
        "Repeat the kernel without gaps. In each next row the numbers start one place earlier. Because the kernel "
        "repeats, that is the same as b - 1 places later.",
        circulant_of_first_row,
        vectors(1),
        twins=VIEW_TWINS,
        solution=circulant_view,
        forbidden=(
            "circpeft",
            "torch.Tensor.__getitem__",
            "torch.Tensor.roll",
            "torch.roll",
            "torch.stack",
            "torch.cat",
        ),
    ),
    Exercise(
        "11.2",
        "The least bytes of a fused adapter",
        1,
        5,
        "Forward: x and the base output are read, and the output is written. Backward: x, the output's gradient and "
        "the gradient of x from the base layer are read, and the gradient of x is written.",
        least_bytes,
        lambda g: [(1024, 768, 3072, 4), (1, 4, 4, 4), (8192, 4096, 11008, 2), (7, 5, 3, 2)],
        twins=BYTES_TWINS,
        solution=fused_bytes,
    ),
    Exercise(
        "11.3",
        "The FLOPs of the leaves",
        2,
        10,
        "Two leaves are real, with matrices of d_in / R by d_out / R. The other R / 2 - 1 pairs have real matrices of "
        "twice that size in both directions.",
        leaf_flops,
        lambda g: [(100, 384, 1536, 48), (1, 8, 8, 8), (2048, 4096, 4096, 32), (7, 12, 24, 2)],
        twins=FLOPS_TWINS,
        solution=flops_of_leaves,
    ),
)

QUESTIONS = (
    Question(
        "11.q1",
        "A layer has 4096 inputs and outputs. C3A's transforms take a fiftieth of the FLOPs of a product with a dense "
        "ΔW. How much faster are they on an H100, at best?",
        "d",
        "They move three times as many bytes, and wait for the memory.",
        choices={"a": "fifty times", "b": "about ten times", "c": "about three times", "d": "they are not faster"},
        wrong={
            "a": "That would be so if FLOPs took all the time. How many bytes are read and written?",
            "b": "Count the bytes as well: each of ten launches reads its operands and writes its results.",
            "c": "It is the other way round for the bytes: the transforms move three times as many.",
        },
    ),
    Question(
        "11.q2",
        "We take R = 32 for a layer with 4096 inputs and outputs. Which leaves take more FLOPs: those of C3A with "
        "b = 128, or with b = 4096?",
        "c",
        "A leaf has d_in / R inputs and d_out / R outputs, whatever b is.",
        choices={"a": "those with b = 128", "b": "those with b = 4096", "c": "both take the same"},
        wrong={
            "a": "There are more blocks, but each contributes to the same leaves.",
            "b": "A larger block has more columns in its R × e matrix, but there are fewer blocks.",
        },
    ),
    Question(
        "11.q3",
        "Eight tokens go through a layer of 64 × 64. Which way to compute C3A takes more of the host's time?",
        "a",
        "The dense product has more FLOPs, but fewer calls, and the host pays for calls.",
        choices={"a": "by transforms", "b": "by a dense product"},
        wrong={"b": "It has more FLOPs, but these take almost no time here. Which way makes fewer calls?"},
    ),
    Question(
        "11.q4",
        "In three rounds, a step with LoRA takes 100, 150 and 110 ms, and one with C3A 110, 153 and 132 ms. How many "
        "percent slower is C3A, by the median of the paired ratios?",
        10,
        "The ratios are 1.10, 1.02 and 1.20, so their median is 1.10.",
        wrong={
            20: "That is the ratio of the two medians, 132 / 110. It ignores which times belong to one round.",
            2: "That is the second round. Sort the three ratios and take the one in the middle.",
        },
    ),
    Question(
        "11.q5",
        "Query, key and value are three layers with C3A and the same input. How many tensors of the size of the input "
        "do they save for the backward pass, all together?",
        1,
        "Each saves only its input, and the three inputs are one tensor.",
        wrong={
            3: "Each layer saves its input. But is it a tensor of its own?",
            0: "The gradient of the kernel needs the input.",
        },
    ),
)
