"""Backend "leaf": products as a few dense real matrices between small real transforms, made for tensor cores.

`circpeft.ops.backends.leaf_algebra` explains the leaves. Blocks of a size without a good factor
(`leaf_algebra.coarse_size`) are left to "rfft". On a GPU, Triton kernels compute float32 and less (`leaf_triton`). On
CPUs, in float64, and where Triton is missing, too old or broken, torch computes everything (`leaf_torch`).

"auto" takes this backend for wide layers on a GPU, in half precision or with TF32, where it has not been measured. On
CPUs it is slower than "rfft".
"""

import torch
from torch import Tensor

from ..triton_launch import KernelFailed
from . import leaf_torch, leaf_triton, rfft
from .leaf_algebra import coarse_size, leaf_size

FUSED = True
BUILDS_MATRIX = False


def is_available(device: torch.device) -> bool:
    """Return True: matrix products work on every device."""
    return True


def diagonal_matmul(
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    y: Tensor,
    scale: float,
) -> None:
    """Write ``base + scale * diagonal_out * C(w) (diagonal_in * x)`` into ``y``; shapes as in `FusedBackend`.

    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row).
    """
    if leaf_triton.has_kernels(x, w):
        try:
            return leaf_triton.diagonal_matmul(x, w, layout, diagonal_in, diagonal_out, base, y, scale)
        except KernelFailed as problem:
            leaf_triton.KERNELS.give_up(problem)
    compute = rfft if coarse_size(w.shape[-1]) is None else leaf_torch
    compute.diagonal_matmul(x, w, layout, diagonal_in, diagonal_out, base, y, scale)


def diagonal_matmul_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    dx: Tensor | None,
    scale: float,
    accumulate: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of `diagonal_matmul` for ``w`` and the diagonals; write or add that for ``x`` to ``dx``.

    Source: CDVFT Eq. 9 and 11; C3A section 3.3, corrected: its printed formula lacks the transpose of the matrix.
    """
    if leaf_triton.has_kernels(x, w):
        try:
            return leaf_triton.diagonal_matmul_backward(
                g, x, w, layout, diagonal_in, diagonal_out, dx, scale, accumulate
            )
        except KernelFailed as problem:
            leaf_triton.KERNELS.give_up(problem)
    arguments = g, x, w, layout, diagonal_in, diagonal_out, dx, scale, accumulate
    if coarse_size(w.shape[-1]) is None:
        return rfft.diagonal_matmul_backward(*arguments)
    return leaf_torch.diagonal_matmul_backward(*arguments)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return the product without diagonals: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``."""
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y, 1.0)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``."""
    like = x.new_empty(g.shape[-1] // b, x.shape[-1] // b, b)
    return diagonal_matmul_backward(g, x, like, layout, None, None, None, 1.0, False)[0]


def _matrix_flops(m: int, n: int, b: int) -> int:
    # Each of the e inputs of a block has its shifted kernels, of b numbers each, transformed by a matrix of R rows.
    return 2 * m * n * b * b


def _product_flops(t: int, m: int, n: int, b: int) -> int:
    return 4 * t * m * n * b * (b // leaf_size(b))


def _transform_flops(count: int, b: int) -> int:
    return 2 * count * leaf_size(b) * b


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`: m + n transforms per token, the leaves' matrices, and the products with them."""
    if coarse_size(b) is None:
        return rfft.matmul_flops(t, m, n, b)
    return _transform_flops(t * (m + n), b) + _matrix_flops(m, n, b) + _product_flops(t, m, n, b)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`: m + n transforms per token, products summed over the tokens, and their sums.

    The kernels' gradient is the transform of the leaves' gradient, summed over the e shifts.
    """
    if coarse_size(b) is None:
        return rfft.kernel_grad_flops(t, m, n, b)
    sums = 2 * m * n * b * (b // leaf_size(b))
    return _transform_flops(t * (m + n), b) + _product_flops(t, m, n, b) + _matrix_flops(m, n, b) + sums


def diagonal_backward_flops(
    t: int, m: int, n: int, b: int, with_dx: bool = True, with_input: bool = False, with_output: bool = False
) -> int:
    """Return the FLOPs of `diagonal_matmul_backward` without its products with diagonals; each transform counts once.

    Args:
        with_dx, with_input: if either is set, the product with the transposed matrix is computed.
        with_output: the forward product is computed again.
    """
    if coarse_size(b) is None:
        return rfft.diagonal_backward_flops(t, m, n, b, with_dx, with_input, with_output)
    transposed = with_dx or with_input
    products = _transform_flops(t * (n * transposed + m * with_output), b)
    products += _product_flops(t, m, n, b) * (transposed + with_output)
    return kernel_grad_flops(t, m, n, b) + products + _matrix_flops(m, n, b) * (transposed or with_output)
