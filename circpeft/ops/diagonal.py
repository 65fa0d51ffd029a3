"""The product of both methods as one operator: ``base + scale * diag(a_out) C(w) diag(a_in) x``.

C3A is it without diagonals, CDVFT with both. Only ``x`` and the parameters are kept for the backward pass: what lies
between the factors is made again there, a chunk of tokens at a time.
"""

from importlib import import_module

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.flop_counter import register_flop_formula

from .checks import check_diagonals
from .dispatch import BACKENDS, resolve_backend
from .operator import operator, without_autocast
from .product import block_circular_matmul, compute_dtype

# Backends with a diagonal_matmul and a diagonal_matmul_backward of their own; of others it is put together.
FUSED = ("rfft", "triton")


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
    """Product with diagonal, block-circulant and diagonal factors, added to a base output.

    Formula: ``y = base + scale * diagonal_out * C(w) (diagonal_in * x)`` with ``C(w) = block_circulant(w, layout)``
    (CDVFT Eq. 4 to 7 and 12; without diagonals C3A section 3.2 and 3.4). A part that is None is left out.

    Shapes: ``x: (..., d_in)``, ``w: (m, n, b)``, ``diagonal_in: (d_in,)``, ``diagonal_out: (d_out,)``,
    ``base: (..., d_out)`` -> ``(..., d_out)``. Where ``d_in`` is less than ``n*b`` the vector is padded with zeros;
    ``d_out`` is that of ``diagonal_out`` or ``base``, else ``m*b``, and surplus outputs are dropped.
    Dtypes: float64 to bfloat16; computed and summed in float32 at least, returned in the dtype of ``base``, or of
    ``x``. Differentiable to any order in every tensor.

    Raises: ValueError for shapes or devices that do not fit, an unknown layout or backend; TypeError for tensors that
    are not real floating point.

    >>> x, w = torch.tensor([1.0, 1.0]), torch.tensor([[[1.0, 2.0]]])
    >>> diagonal_circulant_matmul(x, w, torch.tensor([1.0, 10.0]), torch.tensor([1.0, -1.0]))
    tensor([ 21., -12.])
    """
    d_out = check_diagonals(x, w, diagonal_in, diagonal_out, base, layout)
    way = resolve_backend(backend, w.shape[-1], x.device)
    if way in FUSED:
        return _forward(x, w, diagonal_in, diagonal_out, base, float(scale), d_out, layout, way)
    y = _composed(x, w, diagonal_in, diagonal_out, scale, d_out, layout, way)
    return y.to(x.dtype) if base is None else (base + y).to(base.dtype)


def _composed(x, w, diagonal_in, diagonal_out, scale, d_out, layout, backend) -> Tensor:
    """The change alone, of differentiable parts; keeps what lies between them. At least in float32."""
    u = x.to(compute_dtype(x.dtype, w.dtype))
    u = u if diagonal_in is None else u * diagonal_in
    surplus = w.shape[1] * w.shape[2] - u.shape[-1]
    u = pad(u, (0, surplus)) if surplus else u
    y = block_circular_matmul(u, w if scale == 1 else w * scale, layout, backend)
    y = y if y.shape[-1] == d_out else y[..., :d_out]
    return y if diagonal_out is None else y * diagonal_out


def _cast(dtype: torch.dtype, *tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.to(dtype) for t in tensors]


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
    w, first, last = _cast(compute_dtype(x.dtype, w.dtype), w if scale == 1 else w * scale, diagonal_in, diagonal_out)
    y = x.new_empty(*x.shape[:-1], d_out, dtype=x.dtype if base is None else base.dtype)
    under = None if base is None else base.reshape(-1, d_out)
    with without_autocast(x.device):
        rows = x.reshape(-1, x.shape[-1])
        import_module(BACKENDS[backend]).diagonal_matmul(rows, w, layout, first, last, under, y.view(-1, d_out))
    return y


def _fake(x, w, diagonal_in, diagonal_out, base, scale, d_out, layout, backend) -> Tensor:
    return x.new_empty(*x.shape[:-1], d_out, dtype=x.dtype if base is None else base.dtype)


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
    kernel, first, last = _cast(dtype, w if scale == 1 else w * scale, diagonal_in, diagonal_out)
    dx = torch.empty(x.shape if needs_dx else (0, x.shape[-1]), dtype=x.dtype, device=x.device)
    with without_autocast(x.device):
        dw, d_first, d_last = import_module(BACKENDS[backend]).diagonal_matmul_backward(
            g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1]), kernel, layout, first, last,
            dx.view(-1, x.shape[-1]) if needs_dx else None,
        )  # fmt: skip
    dw = (dw if scale == 1 else dw * scale).to(w.dtype).contiguous()
    return [dx, dw, *(d.to(a.dtype) for d, a in ((d_first, diagonal_in), (d_last, diagonal_out)) if a is not None)]


def _fake_backward(g, x, w, diagonal_in, diagonal_out, scale, layout, backend, needs_dx) -> list[Tensor]:
    dx = torch.empty(x.shape if needs_dx else (0, x.shape[-1]), dtype=x.dtype, device=x.device)
    given = [w, *(a for a in (diagonal_in, diagonal_out) if a is not None)]
    return [dx, *(torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in given)]


def _context(ctx, inputs, output):
    x, w, diagonal_in, diagonal_out, _, *ctx.rest = inputs
    ctx.save_for_backward(x, w, diagonal_in, diagonal_out)


def _gradients(ctx, g):
    needs, tensors = ctx.needs_input_grad[:4], ctx.saved_tensors
    scale, d_out, layout, backend = ctx.rest
    found: list[Tensor | None] = [None] * 4
    if torch.is_grad_enabled():  # of higher order: by parts that have gradients themselves
        own = [None if t is None else t.view_as(t) for t in tensors]  # one tensor may be here twice
        y = _composed(*own, scale, d_out, layout, backend)
        wanted = [i for i in range(4) if needs[i]]
        grads = torch.autograd.grad(y, [own[i] for i in wanted], g.to(y.dtype), create_graph=True) if wanted else ()
        for i, gradient in zip(wanted, grads, strict=True):
            found[i] = gradient
    elif any(needs):
        dx, dw, *diagonals = _backward(g, *tensors, scale, layout, backend, needs[0])
        found[:2] = dx if needs[0] else None, dw
        for i in (2, 3):
            found[i] = None if tensors[i] is None else diagonals.pop(0)
    return *found, g if ctx.needs_input_grad[4] else None, *(None for _ in ctx.rest)


_forward = operator("diagonal_matmul", _compute, _fake, _context, _gradients)
_backward = operator("diagonal_matmul_backward", _compute_backward, _fake_backward)


@register_flop_formula(torch.ops.circpeft.diagonal_matmul)
def _flops(x_shape, w_shape, in_shape, out_shape, base_shape, scale, d_out, layout, backend, *args, **kwargs) -> int:
    return import_module(BACKENDS[backend]).matmul_flops(torch.Size(x_shape[:-1]).numel(), *w_shape)


@register_flop_formula(torch.ops.circpeft.diagonal_matmul_backward)
def _backward_flops(g_shape, x_shape, w_shape, in_shape, out_shape, scale, layout, backend, needs, **kwargs) -> int:
    return import_module(BACKENDS[backend]).backward_flops(
        torch.Size(x_shape[:-1]).numel(), *w_shape, dx=needs or in_shape is not None, again=out_shape is not None
    )
