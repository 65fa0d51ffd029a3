"""The gradients of the product of both methods (`circpeft.ops.diagonal`), in two forms.

One fused operator computes all of them, for plain backward passes. For derivatives of a higher order, and for a batch
of output gradients, they are products that can be differentiated again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .backends import as_fused
from .checks import opposite
from .flops import register_flops
from .operands import as_rows, cut, factors_in_dtype, in_dtype, padded
from .operator import operator
from .precision import compute_dtype, without_autocast
from .product import block_circular_kernel_grad, block_circular_matmul
from .transforms import is_batched


def diagonal_gradients(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `diagonal_circulant_matmul` for x, w and the diagonals, as far as they are needed."""
    if torch.is_grad_enabled() or is_batched(g):  # gradients that have gradients themselves, or are batched
        return tuple(differentiable_gradients(g, x, w, diagonal_in, diagonal_out, scale, layout, backend, needs))
    if not any(needs):
        return (None,) * 4
    dx, dw, *diagonals = _backward(g, x, w, diagonal_in, diagonal_out, scale, layout, backend, needs[0])
    d_first = None if diagonal_in is None else diagonals.pop(0)
    d_last = None if diagonal_out is None else diagonals.pop(0)
    return dx if needs[0] else None, dw, d_first, d_last


def differentiable_gradients(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of `diagonal_gradients`, computed by operators that can be differentiated again."""
    m, n, b = w.shape
    dtype = compute_dtype(x.dtype, w.dtype)
    x_, g_ = x.to(dtype), g.to(dtype) * scale
    u = padded(x_ if diagonal_in is None else x_ * diagonal_in, n * b)
    v = padded(g_ if diagonal_out is None else g_ * diagonal_out, m * b)
    gradients: list[Tensor | None] = [None] * 4
    if needs[0] or needs[2]:
        u_grad = block_circular_matmul(v, w.transpose(0, 1), opposite(layout), backend)
        u_grad = cut(u_grad, x.shape[-1])
        gradients[0] = (u_grad if diagonal_in is None else u_grad * diagonal_in).to(x.dtype) if needs[0] else None
        if needs[2] and diagonal_in is not None:
            gradients[2] = _summed(u_grad * x_, diagonal_in)
    if needs[1]:
        gradients[1] = block_circular_kernel_grad(v, u, b, layout, backend).to(w.dtype)
    if needs[3] and diagonal_out is not None:
        y = cut(block_circular_matmul(u, w, layout, backend), g.shape[-1])
        gradients[3] = _summed(y * g_, diagonal_out)
    return gradients


def _composed_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs_dx: bool,
) -> list[Tensor]:
    needs = (needs_dx, True, diagonal_in is not None, diagonal_out is not None)
    dx, *gradients = differentiable_gradients(g, x, w, diagonal_in, diagonal_out, scale, layout, backend, needs)
    return [x.new_empty(0, x.shape[-1]) if dx is None else dx, *(d for d in gradients if d is not None)]


def _summed(products: Tensor, diagonal: Tensor) -> Tensor:
    """Return the sum over all tokens, in the dtype of the diagonal."""
    return products.reshape(-1, products.shape[-1]).sum(0).to(diagonal.dtype)


def _compute_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs_dx: bool,
) -> list[Tensor]:
    dtype = compute_dtype(x.dtype, w.dtype)
    kernel, first, last = factors_in_dtype(dtype, w, diagonal_in, diagonal_out)
    dx = torch.empty(x.shape if needs_dx else (0, x.shape[-1]), dtype=x.dtype, device=x.device)
    with without_autocast(x.device):
        dw, d_first, d_last = as_fused(backend).diagonal_matmul_backward(
            as_rows(g), as_rows(x), kernel, layout, first, last, as_rows(dx) if needs_dx else None, scale, False
        )
    dw = in_dtype(dw, w.dtype)
    gradients = [dx, dw if dw.is_contiguous() else dw.contiguous()]
    for diagonal, gradient in ((diagonal_in, d_first), (diagonal_out, d_last)):
        if diagonal is not None and gradient is not None:
            gradients.append(in_dtype(gradient, diagonal.dtype))
    return gradients


def _fake_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs_dx: bool,
) -> list[Tensor]:
    dx = torch.empty(x.shape if needs_dx else (0, x.shape[-1]), dtype=x.dtype, device=x.device)
    parameters = [w, *(a for a in (diagonal_in, diagonal_out) if a is not None)]
    return [dx, *(torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in parameters)]


_backward = operator("diagonal_matmul_backward", _compute_backward, _fake_backward, _composed_backward)


@register_flops("diagonal_matmul_backward")
def _backward_flops(
    g_shape: Sequence[int],
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    first_shape: Any,
    last_shape: Any,
    scale: float,
    layout: str,
    backend: str,
    needs_dx: bool,
    **kwargs: Any,
) -> int:
    (m, n, b), tokens = w_shape, torch.Size(x_shape[:-1]).numel()
    diagonals = first_shape is not None, last_shape is not None
    return as_fused(backend).diagonal_backward_flops(tokens, m, n, b, needs_dx, *diagonals)
