"""An adapted linear layer as one function, which owns the frozen product and the adapter's.

The adapter's product is added to the frozen output in place, and so is its part of the input's gradient. Apart from
each other, both would be written to memory, and added in a further pass.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .backends import as_fused, get_backend
from .checks import Described, check_adapted
from .diagonal import diagonal_circulant_matmul
from .diagonal_backward import diagonal_gradients
from .dispatch import TINY_WEIGHT, Layer, folds, forced_backend, layer_way, resolve_backend
from .fold import folded_linear, tiny_linear
from .operands import as_rows, factors_in_dtype, in_dtypes_of
from .operator import eager, layer_context, needs_custom_op
from .precision import autocast_dtype, compute_dtype, tf32_allowed, without_autocast
from .transforms import is_batched
from .watching import note


def adapted_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    scale: float = 1.0,
    layout: str = "column",
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
    backend: str = "fold",
) -> Tensor:
    """Apply a linear layer whose weight has a block-circulant change, with or without diagonals.

    Formula: ``y = x @ (weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)).T + bias`` with
    ``C(w) = block_circulant(w, layout)``; a part that is None is left out.

    Shapes: ``x: (..., d_in)``, ``weight: (d_out, d_in)``, ``bias, diagonal_out: (d_out,)``, ``diagonal_in: (d_in,)``,
    ``w: (m, n, b)`` with ``d_in <= n*b`` and ``d_out <= m*b`` -> ``(..., d_out)``. Differentiable to any order in every
    tensor. Only the arguments are saved for the backward pass. With "auto", the sum of the weights is saved too on a
    CPU, if it has at most `circpeft.ops.dispatch.TINY_WEIGHT` entries.

    Args:
        backend: "fold" adds the change to the weight for this call, and computes one product. It needs one dtype for
            all tensors. A large sum on a CPU is never in memory at once, but in bands of a few megabytes. The name of a
            backend computes both products, and adds the second to the first. "auto" is the rule of the adapted layers.

    Raises: ValueError for shapes, dtypes or devices that do not fit, and an unknown layout or backend; TypeError for
    tensors that are not real floating point.

    >>> w = torch.tensor([[[1.0, 2.0]]])
    >>> adapted_linear(torch.tensor([1.0, 0.0]), torch.eye(2), None, w)
    tensor([2., 2.])
    >>> adapted_linear(torch.tensor([1.0, 0.0]), torch.eye(2), None, w, backend="rfft")
    tensor([2., 2.])
    """
    tensors = (x, weight, bias, w, diagonal_in, diagonal_out)
    if needs_custom_op(tensors):
        return _visible(*tensors, scale, layout, backend)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        half = autocast_dtype(device)
        if half is None:
            return _visible(*tensors, scale, layout, backend)
        x, weight, bias = x.to(half), weight.to(half), bias if bias is None else bias.to(half)
        tensors = (x, weight, bias, w, diagonal_in, diagonal_out)
    descriptions = tuple([None if t is None else (t.shape, t.dtype, t.device) for t in tensors])
    way = _decided(descriptions, layout, backend, forced_backend(), device == "cuda" and tf32_allowed())
    if way in ("tiny", "fold"):
        note("fold")
        if way == "tiny":
            return tiny_linear(*tensors, scale, layout)
        return folded_linear.plain(*tensors, float(scale), layout, False)
    if not get_backend(way).FUSED:
        return _apart(*tensors, scale, layout, way)
    note(way)
    return _joint(*tensors, float(scale), layout, way)


@lru_cache(maxsize=4096)
def _decided(descriptions: tuple[Any, ...], layout: str, backend: str, forced: str, tf32: bool) -> str:
    """Return "tiny", "fold" or the name of a backend. The checks and the rule run once for everything that they see."""
    x, weight, w = (Described(*descriptions[i]) for i in (0, 1, 3))
    bias, first, last = (None if d is None else Described(*d) for d in (descriptions[2], *descriptions[4:]))
    check_adapted(x, weight, bias, w, first, last, layout, one_dtype=backend == "fold")
    if backend == "auto":
        tokens, dtypes = x.shape[:-1].numel(), (x.dtype, weight.dtype, w.dtype)
        has_diagonals = first is not None or last is not None
        way = layer_way(Layer(tokens, x.device.type, dtypes, weight.shape, w.shape, has_diagonals, forced, False, tf32))
        return "tiny" if way == "fold" and x.device.type == "cpu" and weight.shape.numel() <= TINY_WEIGHT else way
    return backend if backend == "fold" else resolve_backend(backend, w.shape[-1], x.device)


def _visible(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
) -> Tensor:
    """Return the layer as operators that a compiler, a counter or a transform can see."""
    check_adapted(x, weight, bias, w, diagonal_in, diagonal_out, layout, one_dtype=backend == "fold")
    of_one_dtype = x.dtype == weight.dtype == w.dtype
    blocks, has_diagonals = w.shape[0] * w.shape[1], diagonal_in is not None or diagonal_out is not None
    if backend == "fold" or backend == "auto" and of_one_dtype and folds(x, weight, blocks, has_diagonals):
        note("fold")
        return folded_linear(x, weight, bias, w, diagonal_in, diagonal_out, float(scale), layout, False)
    return _apart(x, weight, bias, w, diagonal_in, diagonal_out, scale, layout, backend)


def _apart(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
) -> Tensor:
    base = linear(x, weight, bias)
    return diagonal_circulant_matmul(x, w, diagonal_in, diagonal_out, base, scale, layout, backend)


def _compute(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
) -> Tensor:
    kernel, first, last = factors_in_dtype(compute_dtype(x.dtype, w.dtype), w, diagonal_in, diagonal_out)
    with without_autocast(x.device):
        y = linear(x, weight, bias)
        rows = as_rows(y)
        as_fused(backend).diagonal_matmul(as_rows(x), kernel, layout, first, last, rows, rows, scale)
    return y


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, w, first, last = ctx.saved_tensors
    (scale, layout, backend), needs = ctx.settings, ctx.needs_input_grad
    dweight = as_rows(g).T @ as_rows(x) if needs[1] else None
    dbias = as_rows(g).sum(0) if needs[2] else None
    of_product = needs[0], *needs[3:6]
    if torch.is_grad_enabled() or is_batched(g) or needs_custom_op((g, x, weight)):
        dx, *gradients = diagonal_gradients(g, x, w, first, last, scale, layout, backend, of_product)
        dx = None if dx is None else dx + g @ weight
    else:
        dx, *gradients = _both_gradients(g, x, weight, w, first, last, scale, layout, backend, of_product)
    return dx, dweight, dbias, *gradients, None, None, None


def _both_gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    backend: str,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """Return the gradients of input, kernel and diagonals; both parts of the first are added up in one place."""
    kernel, first, last = factors_in_dtype(compute_dtype(x.dtype, w.dtype), w, diagonal_in, diagonal_out)
    rows = as_rows(g)
    with without_autocast(x.device):
        dx = rows @ weight if needs[0] else None
        of_factors = as_fused(backend).diagonal_matmul_backward(
            rows, as_rows(x), kernel, layout, first, last, dx, scale, True
        )
    return None if dx is None else dx.view(x.shape), *in_dtypes_of((w, diagonal_in, diagonal_out), of_factors)


_joint = eager(_compute, layer_context, _gradients)
