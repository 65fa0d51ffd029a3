"""The exercises of notebook 03, on CDVFT."""

import torch

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Question
from .matrices import column


def cdvft_forward(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = A3 C A1 x, where a1 and a3 are the diagonals and c is the first column of C. All are (d,)."""
    return torch.diag(a3) @ column(c) @ torch.diag(a1) @ x


def cdvft_gradients(a1, c, a3, x, g) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (da1, dc, da3, dx) of y = A3 C A1 x for g = dL/dy. All are (d,)."""
    matrix = column(c)
    du = matrix.T @ (a3 * g)
    # dL/dC is an outer product; dc[k] is its sum over the wrapped diagonal (i - j) mod d = k.
    outer = torch.outer(a3 * g, a1 * x)
    i = torch.arange(len(c))
    dc = torch.stack([outer[(i + k) % len(c), i].sum() for k in range(len(c))])
    return x * du, dc, g * (matrix @ (a1 * x)), a1 * du


def cdvft_parameters(d_in: int, d_out: int, b: int) -> int:
    """Return d_in + d_out + ceil(d_in / b) * ceil(d_out / b) * b: two diagonals and a kernel per padded block."""
    return d_in + d_out + -(-d_in // b) * -(-d_out // b) * b


EXERCISES = (
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
)

QUESTIONS: tuple[Question, ...] = ()
