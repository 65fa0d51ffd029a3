"""Backend "reference": the dense block-circulant matrix, built by indexing. The tests compare the others with it."""

import torch
from torch import Tensor

from ..circulant import block_circulant

FUSED = False
BUILDS_MATRIX = True


def is_available(device: torch.device) -> bool:
    """Return True: indexing works on every device."""
    return True


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return ``x @ block_circulant(w, layout).T``.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``.
    """
    return x @ block_circulant(w, layout).T


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``: ``g.T @ x`` summed along the wrapped diagonals of every block.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``.
    """
    m, n = g.shape[-1] // b, x.shape[-1] // b
    dense = (g.T @ x).view(m, b, n, b).transpose(1, 2).reshape(m, n, b * b)
    i = g.new_ones(b).cumsum(0).long() - 1
    shift = i[:, None] - i[None, :] if layout == "column" else i[None, :] - i[:, None]
    index = (shift % b).reshape(1, 1, b * b).expand(m, n, b * b)
    return dense.new_zeros(m, n, b).scatter_add_(2, index, dense)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`: a multiply and an add per token and entry of the dense matrix."""
    return 2 * t * m * b * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`: the dense product, and one add per entry for the diagonals."""
    return 2 * t * m * b * n * b + m * b * n * b
