"""The block-circulant product as a PyTorch operator: custom ops, autograd, fake tensors, FLOPs.

Two operators suffice for every order of derivative, because the product is bilinear. Its input gradient is a product
with the transposed grid of kernels in the other layout. Its kernel gradient is the second operator, and the gradients
of the second operator are products again. Forward mode needs the two as well: a tangent of a product is a sum of
products. Under `torch.func.vmap`, a batch of one operand becomes tokens or blocks of a single product.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from . import formulas
from .backends import get_backend
from .checks import check_kernel_gradient, check_product, opposite
from .dispatch import resolve_backend
from .flops import register_flops
from .operator import Rules, operator
from .precision import compute_dtype, without_autocast
from .watching import note


def block_circular_matmul(x: Tensor, w: Tensor, layout: str = "column", backend: str = "auto") -> Tensor:
    """Multiply a batch of vectors by a block-circulant matrix, without building the matrix.

    Formula: ``y = x @ block_circulant(w, layout).T``; per block, circular convolution of ``w[i, j]`` with ``x_j``
    (``layout="column"``, CDVFT Eq. 8 and 12) or circular correlation (``layout="row"``, C3A section 3.2 and 3.4).

    Shapes: ``x: (..., n*b)``, ``w: (m, n, b)`` -> ``(..., m*b)``; any batch shape, any ``b >= 1``.
    Dtypes: float64 to bfloat16; computed in float32 at least, returned in the dtype of ``x``. The gradient of ``w`` has
    the dtype of ``w``. Only ``x`` and ``w`` are saved for the backward pass. Differentiable to any order, in reverse
    and in forward mode, and by every transform of `torch.func`. For a batch of both ``x`` and ``w``, `torch.func.vmap`
    computes by FFT with any backend, and keeps all spectra in memory.

    Raises: ValueError for shapes that do not fit, an unknown layout or backend, or two devices; TypeError for tensors
    that are not real floating point.

    >>> x, w = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[[1.0, 2.0, 0.0]]])
    >>> block_circular_matmul(x, w, layout="row", backend="reference")
    tensor([1., 0., 2.])
    """
    check_product(x, w, layout)
    (m, n, b), dtype = w.shape, compute_dtype(x.dtype, w.dtype)
    backend = resolve_backend(backend, b, x.device, dtype, max(m, n) * b)
    note(backend)
    return _matmul(x, w, layout, backend)


def block_circular_kernel_grad(g: Tensor, x: Tensor, b: int, layout: str = "column", backend: str = "auto") -> Tensor:
    """Return the gradient of `block_circular_matmul` for its kernel, given an output gradient ``g``.

    Formula, summed over the batch: ``dw[i, j] = irfft(rfft(g_i) * conj(rfft(x_j)))`` (``layout="column"``), or with
    reversed index ``irfft(conj(rfft(g_i)) * rfft(x_j))`` (``layout="row"``).

    Shapes: ``g: (..., m*b)``, ``x: (..., n*b)`` -> ``(m, n, b)``, in the wider dtype of the two. Differentiable to any
    order.

    Raises: ValueError for shapes that do not fit, an unknown layout or backend, or two devices; TypeError for tensors
    that are not real floating point.

    >>> x = torch.tensor([1.0, 0.0, 0.0])
    >>> block_circular_kernel_grad(torch.tensor([1.0, 2.0, 0.0]), x, 3, backend="reference")
    tensor([[[1., 2., 0.]]])
    """
    check_kernel_gradient(g, x, b, layout)
    dtype = torch.promote_types(g.dtype, x.dtype)
    width = max(g.shape[-1], x.shape[-1])
    return _kernel_grad(g, x, b, dtype, layout, resolve_backend(backend, b, x.device, compute_dtype(dtype), width))


def _compute_matmul(x: Tensor, w: Tensor, layout: str, backend: str) -> Tensor:
    m, n, b = w.shape
    dtype = compute_dtype(x.dtype, w.dtype)
    rows = x.reshape(-1, n * b).to(dtype)
    with without_autocast(x.device):
        y = get_backend(backend).matmul(rows, w.to(dtype).contiguous(), layout)
    return y.to(x.dtype).reshape(*x.shape[:-1], m * b)


def _fake_matmul(x: Tensor, w: Tensor, layout: str, backend: str) -> Tensor:
    return x.new_empty(*x.shape[:-1], w.shape[0] * w.shape[2])


def _compute_kernel_grad(g: Tensor, x: Tensor, b: int, dtype: torch.dtype, layout: str, backend: str) -> Tensor:
    compute = compute_dtype(g.dtype, x.dtype, dtype)
    g_rows, x_rows = g.reshape(-1, g.shape[-1]).to(compute), x.reshape(-1, x.shape[-1]).to(compute)
    with without_autocast(x.device):
        dw = get_backend(backend).kernel_grad(g_rows, x_rows, b, layout)
    return dw.to(dtype).contiguous()  # the fake tensor promises contiguous strides


def _fake_kernel_grad(g: Tensor, x: Tensor, b: int, dtype: torch.dtype, layout: str, backend: str) -> Tensor:
    return x.new_empty(g.shape[-1] // b, x.shape[-1] // b, b, dtype=dtype)


def _matmul_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, ctx.layout, ctx.backend = inputs
    ctx.save_for_backward(x, w)


def _matmul_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, w = ctx.saved_tensors
    dx = dw = None
    if ctx.needs_input_grad[0]:
        # dx = g @ C(w), and C(w)^T is the block-circulant matrix of the transposed grid in the other layout.
        dx = _matmul(g, w.transpose(0, 1), opposite(ctx.layout), ctx.backend).to(x.dtype)
    if ctx.needs_input_grad[1]:
        dw = _kernel_grad(g, x, w.shape[-1], w.dtype, ctx.layout, ctx.backend)
    return dx, dw, None, None


def _kernel_grad_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, x, ctx.b, ctx.dtype, ctx.layout, ctx.backend = inputs
    ctx.save_for_backward(g, x)


def _kernel_grad_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    # <v, dw> = <g, x @ C(v).T> is bilinear in g and x; v takes the place of the kernel.
    g, x = ctx.saved_tensors
    dg = dx = None
    if ctx.needs_input_grad[0]:
        dg = _matmul(x, v, ctx.layout, ctx.backend).to(g.dtype)
    if ctx.needs_input_grad[1]:
        dx = _matmul(g, v.transpose(0, 1), opposite(ctx.layout), ctx.backend).to(x.dtype)
    return dg, dx, None, None, None, None


def _sum_of_terms(*terms: Tensor | None) -> Tensor | None:
    present = [term for term in terms if term is not None]
    return sum(present[1:], present[0]) if present else None


def _matmul_tangent(ctx: Any, saved: Sequence[Tensor], tangents: Sequence[Any]) -> Tensor | None:
    (x, w), (x_tangent, w_tangent, *_) = saved, tangents
    return _sum_of_terms(
        None if x_tangent is None else _matmul(x_tangent, w, ctx.layout, ctx.backend),
        None if w_tangent is None else _matmul(x, w_tangent, ctx.layout, ctx.backend),
    )


def _kernel_grad_tangent(ctx: Any, saved: Sequence[Tensor], tangents: Sequence[Any]) -> Tensor | None:
    (g, x), (g_tangent, x_tangent, *_) = saved, tangents
    settings = ctx.b, ctx.dtype, ctx.layout, ctx.backend
    return _sum_of_terms(
        None if g_tangent is None else _kernel_grad(g_tangent, x, *settings),
        None if x_tangent is None else _kernel_grad(g, x_tangent, *settings),
    )


def _matmul_batch(
    info: Any, in_dims: Sequence[Any], x: Tensor, w: Tensor, layout: str, backend: str
) -> tuple[Tensor, int]:
    """Compute a batch of products, given where ``x`` and ``w`` have their batch; return the batch, and where it is."""
    if in_dims[1] is None:
        return _matmul(x.movedim(in_dims[0], 0), w, layout, backend), 0
    if in_dims[0] is None and info.batch_size > 0:  # more rows of blocks
        y = _matmul(x, w.movedim(in_dims[1], 0).flatten(0, 1), layout, backend)
        return y.unflatten(-1, (info.batch_size, -1)), x.dim() - 1
    return vmap(_composed_matmul if info.batch_size else _fake_matmul, in_dims)(x, w, layout, backend), 0


def _kernel_grad_batch(
    info: Any, in_dims: Sequence[Any], g: Tensor, x: Tensor, b: int, dtype: torch.dtype, layout: str, backend: str
) -> tuple[Tensor, int]:
    """Compute a batch of kernel gradients, given where ``g`` and ``x`` have their batch; return it, and where it is."""
    if in_dims[1] is None and info.batch_size > 0:  # more rows of blocks
        dw = _kernel_grad(g.movedim(in_dims[0], -2).flatten(-2), x, b, dtype, layout, backend)
        return dw.unflatten(0, (info.batch_size, -1)), 0
    if in_dims[0] is None and info.batch_size > 0:  # more columns of blocks
        dw = _kernel_grad(g, x.movedim(in_dims[1], -2).flatten(-2), b, dtype, layout, backend)
        return dw.unflatten(1, (info.batch_size, -1)), 1
    each = _composed_kernel_grad if info.batch_size else _fake_kernel_grad
    return vmap(each, in_dims)(g, x, b, dtype, layout, backend), 0


def _composed_matmul(x: Tensor, w: Tensor, layout: str, backend: str) -> Tensor:
    return formulas.matmul(x, w, layout) if x.numel() else _fake_matmul(x, w, layout, backend)


def _composed_kernel_grad(g: Tensor, x: Tensor, b: int, dtype: torch.dtype, layout: str, backend: str) -> Tensor:
    if not x.numel():  # torch has no transform of nothing
        return torch.zeros_like(_fake_kernel_grad(g, x, b, dtype, layout, backend))
    return formulas.kernel_grad(g, x, b, dtype, layout)


_matmul = operator(
    "block_circular_matmul",
    _compute_matmul,
    _fake_matmul,
    _composed_matmul,
    _matmul_context,
    _matmul_backward,
    Rules(_matmul_tangent, _matmul_batch),
)
_kernel_grad = operator(
    "block_circular_kernel_grad",
    _compute_kernel_grad,
    _fake_kernel_grad,
    _composed_kernel_grad,
    _kernel_grad_context,
    _kernel_grad_backward,
    Rules(_kernel_grad_tangent, _kernel_grad_batch),
)


@register_flops("block_circular_matmul")
def _matmul_flops(
    x_shape: Sequence[int], w_shape: Sequence[int], layout: str, backend: str, *args: Any, **kwargs: Any
) -> int:
    tokens = torch.Size(x_shape[:-1]).numel()
    return get_backend(backend).matmul_flops(tokens, *w_shape)


@register_flops("block_circular_kernel_grad")
def _kernel_grad_flops(
    g_shape: Sequence[int],
    x_shape: Sequence[int],
    b: int,
    dtype: torch.dtype,
    layout: str,
    backend: str,
    *args: Any,
    **kwargs: Any,
) -> int:
    tokens = torch.Size(x_shape[:-1]).numel()
    return get_backend(backend).kernel_grad_flops(tokens, g_shape[-1] // b, x_shape[-1] // b, b)
