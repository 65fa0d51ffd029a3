"""FLOPs of circulant factors by a fused backend that builds the dense matrix, such as "dense".

It applies diagonals to the matrix instead of the tokens. The matrix product includes the scale and the sum with the
base output. So it costs less for many tokens, and has terms without tokens.
"""

from __future__ import annotations

from ..ops.backends import get_fused_backend
from .hyperparameters import H


def builds_matrix(h: H) -> bool:
    """Return whether the backend of the hyperparameters is counted here."""
    fused = get_fused_backend(h["backend"])
    return fused is not None and fused.BUILDS_MATRIX


def forward(t: int, d_in: int, d_out: int, diagonals: int) -> int:
    """Return the FLOPs of one factor: its diagonals scale the matrix, and the matrix multiplies the tokens."""
    return (diagonals + 2 * t) * d_in * d_out


def backward(t: int, d_in: int, d_out: int, diagonals: int) -> int:
    """Return the FLOPs of the gradients of one factor: for its input, kernel and diagonals.

    The matrix and its gradient are one product with the tokens each. Diagonals scale both. The kernel's gradient adds
    up the entries of the matrix's gradient. The product of matrix and gradient is summed for each diagonal, with the
    other diagonal as weights.
    """
    of_diagonals = diagonals and 1 + diagonals**2
    return (4 * t + 2 * diagonals + 1 + of_diagonals) * d_in * d_out
