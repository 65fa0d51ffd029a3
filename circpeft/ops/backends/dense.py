"""Backend "dense": the product with the dense matrix, which the diagonals have scaled, in one matrix product.

For a narrow layer, calls and launches take longer than the work that they do, and transforms need several times as
many. On a GPU, half precision is multiplied on tensor cores and summed in float32. Other devices compute in float32.

"auto" takes this backend for narrow layers on a GPU, in half precision or with TF32, where it has not been measured.
"""

import torch
from torch import Tensor

from ..delta import delta_weight, diagonals_from_delta, kernel_from_delta
from ..precision import HALVES

FUSED = True
BUILDS_MATRIX = True
# In float16, numbers below 6e-5 lose digits, and a small change has such entries. There, the matrix is this many times
# as large, and its products are divided by it in float32. A larger factor would let the products overflow where a GPU
# adds up parts of them in float16.
HALF_FACTOR = 32.0


def is_available(device: torch.device) -> bool:
    """Return True: matrix products work on every device."""
    return True


def _operand_dtype(x: Tensor, w: Tensor) -> torch.dtype:
    """Return the dtype of the operands of products: that of ``x`` on a GPU, if it is no wider than float32.

    Meta tensors, with which layers of a GPU are counted, are treated as those of a GPU.
    """
    return x.dtype if x.device.type in ("cuda", "meta") and w.dtype == torch.float32 else w.dtype


def _matrix(
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    shape: tuple[int, int],
    dtype: torch.dtype,
    scale: float,
) -> tuple[Tensor, float]:
    """Return the matrix in the dtype of the operands, and the factor that its products still need."""
    # Only half precision loses digits by a small scale. For other dtypes the product applies it, without another call.
    inside, factor = (scale * HALF_FACTOR, 1 / HALF_FACTOR) if dtype == torch.float16 else (1.0, scale)
    return delta_weight(w, layout, inside, diagonal_in, diagonal_out, *shape, dtype), factor


def _multiply_add(base: Tensor | None, a: Tensor, b: Tensor, factor: float, out: Tensor) -> None:
    """Write ``base + factor * a @ b`` into ``out``, which may be the base itself; the sum is in float32 at least."""
    if out.dtype == b.dtype and (base is None or base.dtype == b.dtype):
        torch.addmm(out if base is None else base, a, b, beta=0 if base is None else 1, alpha=factor, out=out)
        return
    rows = _product(a, b)
    if base is None:
        out.copy_(rows if factor == 1 else rows.mul_(factor))
    else:
        torch.add(base, rows, alpha=factor, out=out)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b`` in float32 at least, which has room for a sum over many tokens."""
    return torch.mm(a, b, out_dtype=torch.float32) if a.dtype in HALVES else torch.mm(a, b)


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

    Source: CDVFT Eq. 4 and 12 (column); C3A section 3.2 and 3.4 (row).
    """
    dtype = _operand_dtype(x, w)
    x = x if x.dtype == dtype else x.to(dtype)
    shape = y.shape[1], x.shape[1]
    matrix, factor = _matrix(w, layout, diagonal_in, diagonal_out, shape, dtype, scale)
    _multiply_add(base, x, matrix.T, factor, y)


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

    Formula: ``dx = g @ P`` with ``P = diag(a_out) C diag(a_in)``, the change without its scale. With ``G = g.T @ x``:
    ``dC = a_out[:, None] * G * a_in``, ``da_in = (G * C).T @ a_out`` and ``da_out = (G * C) @ a_in``. All gradients are
    times the scale.
    """
    dtype = _operand_dtype(x, w)
    x, g = (t if t.dtype == dtype else t.to(dtype) for t in (x, g))
    if dx is not None:
        shape = g.shape[1], x.shape[1]
        matrix, factor = _matrix(w, layout, diagonal_in, diagonal_out, shape, dtype, scale)
        _multiply_add(dx if accumulate else None, g, matrix, factor, dx)
    gradient = _product(g.T, x)
    m, n, b = w.shape
    dw = kernel_from_delta(gradient, m, n, b, layout, scale, diagonal_in, diagonal_out)
    return dw, *diagonals_from_delta(gradient, w, layout, scale, diagonal_in, diagonal_out)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return the product without diagonals: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``."""
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y, 1.0)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``."""
    return kernel_from_delta(_product(g.T, x), g.shape[-1] // b, x.shape[-1] // b, b, layout)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`: a multiply and an add per token and entry of the dense matrix."""
    return 2 * t * m * b * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`: the dense product, and one add per entry for the diagonals of blocks."""
    return 2 * t * m * b * n * b + m * b * n * b


def diagonal_backward_flops(
    t: int, m: int, n: int, b: int, with_dx: bool = True, with_input: bool = False, with_output: bool = False
) -> int:
    """Return the FLOPs of `diagonal_matmul_backward` without its products with diagonals.

    Args:
        with_dx: the product with the transposed matrix is computed.
        with_input, with_output: have no effect, because the gradients for the diagonals need no product with tokens.
    """
    return kernel_grad_flops(t, m, n, b) + matmul_flops(t, m, n, b) * with_dx
