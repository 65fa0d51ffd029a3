"""The product of both methods as one operator: ``base + scale * diag(a_out) C(w) diag(a_in) x``.

C3A uses it without diagonals, CDVFT with both. With a fused backend only ``x`` and the parameters are saved for the
backward pass, which computes the intermediate results again, one chunk of tokens at a time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .backends import as_fused, get_backend
from .checks import check_diagonals, checked_once
from .diagonal_backward import diagonal_gradients
from .dispatch import resolve_backend
from .flops import register_flops
from .operands import as_rows, cut, factors_in_dtype, padded
from .operator import needs_custom_op, operator
from .precision import autocast_dtype, compute_dtype, without_autocast
from .product import block_circular_matmul
from .transforms import assume_constant_result
from .watching import note


def diagonal_circulant_matmul(
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    layout: str = "column",
    backend: str = "auto",
) -> Tensor:
    """Multiply by a diagonal, a block-circulant and a diagonal matrix, and add the result to a base output.

    Formula: ``y = base + scale * diagonal_out * C(w) (diagonal_in * x)`` with ``C(w) = block_circulant(w, layout)``
    (CDVFT Eq. 4 to 7 and 12; without diagonals C3A section 3.2 and 3.4). A part that is None is left out.

    Shapes: ``x: (..., d_in)``, ``w: (m, n, b)``, ``diagonal_in: (d_in,)``, ``diagonal_out: (d_out,)``,
    ``base: (..., d_out)`` -> ``(..., d_out)``. If ``d_in`` is less than ``n*b``, the vector is padded with zeros.
    ``d_out`` is the size of ``diagonal_out`` or ``base``, or else ``m*b``; surplus outputs are dropped.
    Dtypes: float64 to bfloat16; computed and summed in float32 at least, returned in the dtype of ``base``, or of
    ``x`` without a base. Differentiable to any order in every tensor.

    Raises: ValueError for shapes or devices that do not fit, an unknown layout or backend; TypeError for tensors that
    are not real floating point.

    >>> x, w = torch.tensor([1.0, 1.0]), torch.tensor([[[1.0, 2.0]]])
    >>> diagonal_circulant_matmul(x, w, torch.tensor([1.0, 10.0]), torch.tensor([1.0, -1.0]))
    tensor([ 21., -12.])
    """
    tensors = (x, w, diagonal_in, diagonal_out, base)
    visible = needs_custom_op(tensors)
    d_out = check_diagonals(*tensors, layout) if visible else checked_once(check_diagonals, tensors, layout)
    if base is not None and base.dtype == autocast_dtype(x.device.type):
        x = x.to(base.dtype)
    backend = resolve_backend(backend, w.shape[-1], x.device, x.dtype, max(x.shape[-1], d_out))
    note(backend)
    if not _is_fused(backend):
        return _composed(*tensors, scale, d_out, layout, backend)
    product = _forward if visible else _forward.plain
    return product(*tensors, float(scale), d_out, layout, backend)


@assume_constant_result
def _is_fused(backend: str) -> bool:
    return get_backend(backend).FUSED


def _composed(
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    scale: float,
    d_out: int,
    layout: str,
    backend: str,
) -> Tensor:
    """Return the product step by step, for a backend that is not fused, and for the transforms of torch.func.

    Each step is differentiated on its own, so the intermediate results are saved. They are in float32 at least.
    """
    u = x.to(compute_dtype(x.dtype, w.dtype))
    u = u if diagonal_in is None else u * diagonal_in
    u = padded(u, w.shape[1] * w.shape[2])
    y = block_circular_matmul(u, w if scale == 1 else w * scale, layout, backend)
    y = cut(y, d_out)
    y = y if diagonal_out is None else y * diagonal_out
    return y.to(x.dtype) if base is None else (base + y).to(base.dtype)


def _compute(
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    scale: float,
    d_out: int,
    layout: str,
    backend: str,
) -> Tensor:
    w, first, last = factors_in_dtype(compute_dtype(x.dtype, w.dtype), w, diagonal_in, diagonal_out)
    y = x.new_empty(*x.shape[:-1], d_out, dtype=x.dtype if base is None else base.dtype)
    base_rows = None if base is None else as_rows(base)
    with without_autocast(x.device):
        as_fused(backend).diagonal_matmul(as_rows(x), w, layout, first, last, base_rows, as_rows(y), scale)
    return y


def _fake(
    x: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    scale: float,
    d_out: int,
    layout: str,
    backend: str,
) -> Tensor:
    y: Tensor = x.new_empty(*x.shape[:-1], d_out, dtype=x.dtype if base is None else base.dtype)
    return y


def _context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[5], *inputs[7:]  # the scale, the layout and the backend


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    (x, w, diagonal_in, diagonal_out), (scale, layout, backend) = ctx.saved_tensors, ctx.settings
    needs = ctx.needs_input_grad[:4]
    gradients = diagonal_gradients(g, x, w, diagonal_in, diagonal_out, scale, layout, backend, needs)
    return *gradients, g if ctx.needs_input_grad[4] else None, None, None, None, None


_forward = operator("diagonal_matmul", _compute, _fake, _composed, _context, _gradients)


@register_flops("diagonal_matmul")
def _flops(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    first_shape: Any,
    last_shape: Any,
    base_shape: Any,
    scale: float,
    d_out: int,
    layout: str,
    backend: str,
    *args: Any,
    **kwargs: Any,
) -> int:
    return as_fused(backend).matmul_flops(torch.Size(x_shape[:-1]).numel(), *w_shape)
