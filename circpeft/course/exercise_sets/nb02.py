"""The exercises of notebook 02, on C3A's product, gradients and scale."""

import torch

from ..exercise_inputs import block_inputs, vectors
from ..exercise_type import Exercise, Question
from .matrices import blocks, column, row


def block_forward(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = C x, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: w (m, n, b), x (n*b,), y (m*b,).
    """
    return blocks(w) @ x


def column_gradients(w: torch.Tensor, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (dw, dx) of y = C(w) x = C(x) w for g = dL/dy, where w is the first column of C(w). All are (b,)."""
    return column(x).T @ g, column(w).T @ g


def equal_signs_norm(s: float, rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the spectral norm of s C(w), where every entry of the kernels of length b is ``rate``."""
    kernels = torch.full((d_out // b, d_in // b, b), rate, dtype=torch.float64)
    return float(torch.linalg.matrix_norm(s * blocks(kernels), 2))


def aligned_scale(d: int, b: int) -> float:
    """Return s with s (d^2 / b) sqrt(b) = d sqrt(d): as far along the gradient as one kernel with s = 1."""
    one_kernel, many = d * d**0.5, d**2 / b * b**0.5
    return one_kernel / many


def lora_scale_rate(paper_rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the rate for the scale 1 / sqrt(k) that moves C3A's ΔW as fast as ``paper_rate`` for 1 / d_in.

    k is the number of blocks along the shorter side, min(d_in, d_out) / b.
    """
    return paper_rate * (1 / d_in) / (b / min(d_in, d_out)) ** 0.5


EXERCISES = (
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
        "02.6",
        "A step with equal signs",
        2,
        10,
        "If all entries of the kernels are equal, so are those of the matrix. What is its rank, and what is the "
        "largest singular value of a d_out by d_in matrix of ones?",
        equal_signs_norm,
        lambda g: [(1.0, 0.1, 4, 4, 4), (0.5, 0.2, 12, 12, 4), (0.25, 1e-3, 6, 12, 3), (1 / 8, 0.3, 8, 2, 2)],
    ),
    Exercise(
        "02.7",
        "The scale for equal progress along the gradient",
        2,
        10,
        "A square layer has d^2 / b kernel entries. The gradient of each is a sum of b random products, of a size "
        "proportional to sqrt(b). Multiply both and s, and compare with b = d and s = 1.",
        aligned_scale,
        lambda g: [(64, 64), (64, 16), (768, 48), (96, 1), (384, 64)],
    ),
    Exercise(
        "02.8",
        "Converting a learning rate",
        1,
        5,
        "One step of Adam moves the entries of the change by s times the rate. Which s belongs to each scale?",
        lora_scale_rate,
        lambda g: [(0.3, 384, 384, 384), (0.15, 384, 384, 64), (0.6, 64, 192, 32), (1.5, 192, 64, 16)],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
