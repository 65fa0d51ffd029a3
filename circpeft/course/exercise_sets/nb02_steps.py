"""Exercises of notebook 02 on learning rates: how far one step of Adam moves the change of the weight."""

import math

import torch

from ..exercise_type import Exercise, Twin
from .matrices import blocks


def equal_signs_norm(s: float, rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the spectral norm of s C(w), where every entry of the kernels of length b is ``rate``."""
    kernels = torch.full((d_out // b, d_in // b, b), rate, dtype=torch.float64)
    return float(torch.linalg.matrix_norm(s * blocks(kernels), 2))


def norm_of_ones(s: float, rate: float, d_in: int, d_out: int, b: int) -> float:
    return s * rate * math.sqrt(d_in * d_out)


def aligned_scale(d: int, b: int) -> float:
    """Return s with s (d^2 / b) sqrt(b) = d sqrt(d): as far along the gradient as one kernel with s = 1."""
    one_kernel, many = d * d**0.5, d**2 / b * b**0.5
    return one_kernel / many


def scale_of_equal_progress(d: int, b: int) -> float:
    return math.sqrt(b / d)


def lora_scale_rate(paper_rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the rate for the scale 1 / sqrt(k) that moves C3A's ΔW as fast as ``paper_rate`` for 1 / d_in.

    k is the number of blocks along the shorter side, min(d_in, d_out) / b.
    """
    return paper_rate * (1 / d_in) / (b / min(d_in, d_out)) ** 0.5


def converted_rate(paper_rate: float, d_in: int, d_out: int, b: int) -> float:
    k = min(d_in, d_out) / b
    return paper_rate * math.sqrt(k) / d_in


STEPS = (
    Exercise(
        "02.15",
        "A step with equal signs",
        2,
        10,
        "If all entries of the kernels are equal, so are those of the matrix. What is its rank, and what is the "
        "largest singular value of a d_out by d_in matrix of ones?",
        equal_signs_norm,
        lambda g: [
            (1.0, 0.1, 4, 4, 4),
            (0.5, 0.2, 12, 12, 4),
            (0.25, 1e-3, 6, 12, 3),
            (1 / 8, 0.3, 8, 2, 2),
            (2.0, 0.05, 5, 20, 5),
        ],
        twins=(
            Twin(
                "one block only",
                "This is the norm of one block. In a matrix of several blocks, all of them add to the same direction.",
                lambda s, rate, d_in, d_out, b: s * rate * b,
            ),
            Twin(
                "scale forgotten",
                "This is the norm of C(w). The change of the weight is s times that.",
                lambda s, rate, d_in, d_out, b: rate * math.sqrt(d_in * d_out),
            ),
            Twin(
                "root missing",
                "This is the sum of all entries. The singular value of a matrix of ones is the root of their number.",
                lambda s, rate, d_in, d_out, b: s * rate * d_in * d_out,
            ),
        ),
        allowed="arithmetic and `math.sqrt`; no matrix.",
        forbidden=("torch.linalg", "circpeft.circulant", "circpeft.block_circulant"),
        no_matrix=lambda s, rate, d_in, d_out, b: [(d_out, d_in)],
        solution=norm_of_ones,
    ),
    Exercise(
        "02.16",
        "The scale for equal progress along the gradient",
        2,
        10,
        "A square layer has d^2 / b kernel entries. The gradient of each is a sum of b random products, of a size "
        "proportional to sqrt(b). Multiply both and s, and compare with b = d and s = 1.",
        aligned_scale,
        lambda g: [(64, 64), (64, 16), (768, 48), (96, 1), (384, 64)],
        twins=(
            Twin(
                "sums as if random products did not cancel",
                "This takes a sum of b products as b times as large as one of them. With random signs, most of it "
                "cancels, and sqrt(b) is left.",
                lambda d, b: 1.0,
            ),
            Twin(
                "size of the sums forgotten",
                "This takes only the number of sums into account, d / b times as many. But each sum is smaller, too.",
                lambda d, b: b / d,
            ),
            Twin(
                "inverted",
                "Smaller blocks follow the gradient more closely, so they need a smaller scale, not a larger one.",
                lambda d, b: math.sqrt(d / b),
            ),
        ),
        allowed="arithmetic and `math.sqrt`.",
        solution=scale_of_equal_progress,
    ),
    Exercise(
        "02.17",
        "Converting a learning rate",
        1,
        5,
        "One step of Adam moves the entries of the change by s times the rate. Which s belongs to each scale?",
        lora_scale_rate,
        lambda g: [(0.3, 384, 384, 384), (0.15, 384, 384, 64), (0.6, 64, 192, 32), (1.5, 192, 64, 16)],
        twins=(
            Twin(
                "longer side",
                "k counts the blocks along the shorter side. This takes the longer one.",
                lambda paper_rate, d_in, d_out, b: paper_rate * math.sqrt(max(d_in, d_out) / b) / d_in,
            ),
            Twin(
                "root missing",
                "The scale is 1 / sqrt(k), not 1 / k.",
                lambda paper_rate, d_in, d_out, b: paper_rate * (min(d_in, d_out) / b) / d_in,
            ),
            Twin(
                "scale forgotten",
                "This is paper_rate / d_in, which would be right for a scale of 1. The scale of `lora` is 1 / sqrt(k).",
                lambda paper_rate, d_in, d_out, b: paper_rate / d_in,
            ),
        ),
        allowed="arithmetic and `math.sqrt`.",
        forbidden=("circpeft.learning_rates",),
        solution=converted_rate,
    ),
)
