"""An adapted convolution: its weight, seen as the matrix of the product over patches, has a block-circulant change.

The change is built as a dense matrix for one call, added to the weight if there is one, and used as the weight of one
convolution. It is built again in the backward pass instead of being kept. A product over unfolded patches would write
every input ``kh * kw`` times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from .circulant import block_circulant
from .delta import delta_weight, diagonals_from_delta, kernel_from_delta
from .operands import in_dtypes_of
from .operator import eager, layer_context, needs_custom_op
from .precision import without_autocast
from .transforms import is_batched
from .watching import note


class Window(NamedTuple):
    """How a convolution moves over its input: its size ``(kh, kw)``, and what `conv2d` takes beside the tensors."""

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def adapted_conv2d(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    w: Tensor,
    window: Window,
    scale: float = 1.0,
    layout: str = "column",
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
) -> Tensor:
    """Apply a convolution whose weight has a block-circulant change, with or without diagonals.

    Formula: ``y = conv2d(x, weight + ΔW) + bias`` with ``ΔW = scale * diag(diagonal_out) C(w) diag(diagonal_in)`` and
    ``C(w) = block_circulant(w, layout)``, reshaped to the weight. Without groups that is
    ``(weight + ΔW) @ unfold(x) + bias``. A part that is None is left out.

    Shapes: ``x: (batch, channels, height, width)``, ``weight: (d_out, channels / groups, kh, kw)``,
    ``bias, diagonal_out: (d_out,)``, ``diagonal_in: (d_in,)`` with ``d_in = channels / groups * kh * kw``,
    ``w: (m, n, b)`` with ``d_in <= n*b`` and ``d_out <= m*b``. ``d_out`` is that of the weight or of
    ``diagonal_out``, or else ``m*b``.

    Dtypes: ``x`` and ``weight`` have one dtype. ``ΔW`` is computed in float32 at least, and rounded to that dtype.
    Differentiable to any order in every tensor. Only the arguments are saved for the backward pass.

    >>> x, w = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[2.0]], [[10.0]]])
    >>> adapted_conv2d(x, None, None, w, Window((1, 1)))
    tensor([[[[ 2.,  4.,  6.]],
    <BLANKLINE>
             [[10., 20., 30.]]]])
    """
    note("dense" if weight is None else "fold")
    arguments = x, weight, bias, w, diagonal_in, diagonal_out, float(scale), layout, window
    return _composed(*arguments) if needs_custom_op(arguments) else _plain(*arguments)


def _sizes(
    x: Tensor, weight: Tensor | None, w: Tensor, diagonal_out: Tensor | None, window: Window
) -> tuple[int, int, tuple[int, ...]]:
    """Return ``d_out``, ``d_in`` and the shape of the convolution's weight."""
    d_out = w.shape[0] * w.shape[2] if diagonal_out is None else diagonal_out.shape[0]
    d_out = d_out if weight is None else weight.shape[0]
    channels = x.shape[1] // window.groups
    return d_out, channels * window.size[0] * window.size[1], (d_out, channels, *window.size)


def _changed(
    x: Tensor,
    weight: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    window: Window,
) -> Tensor:
    """Return the weight of the convolution, with its change, without a gradient."""
    d_out, d_in, shape = _sizes(x, weight, w, diagonal_out, window)
    rows = None if weight is None else weight.flatten(1)
    return delta_weight(w, layout, scale, diagonal_in, diagonal_out, d_out, d_in, x.dtype, rows).view(shape)


def _compute(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    window: Window,
) -> Tensor:
    changed = _changed(x, weight, w, diagonal_in, diagonal_out, scale, layout, window)
    with without_autocast(x.device):
        return conv2d(x, changed, bias, *window[1:])


def _composed(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    window: Window,
) -> Tensor:
    """Return the same from operations of torch, for compilers, transforms and derivatives of a higher order."""
    d_out, d_in, shape = _sizes(x, weight, w, diagonal_out, window)
    delta = block_circulant(w if scale == 1 else w * scale, layout)[:d_out, :d_in]
    delta = delta if diagonal_in is None else delta * diagonal_in
    delta = delta if diagonal_out is None else delta * diagonal_out[:, None]
    delta = delta.reshape(shape)
    changed = (delta if weight is None else weight + delta).to(x.dtype)
    with without_autocast(x.device):
        return conv2d(x, changed, bias, *window[1:])


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, w, diagonal_in, diagonal_out = ctx.saved_tensors
    (scale, layout, window), needs = ctx.settings, ctx.needs_input_grad
    dbias = g.sum((0, 2, 3)) if needs[2] else None
    if torch.is_grad_enabled() or is_batched(g) or needs_custom_op((g, x, weight, w)):
        tensors = (x, weight, w, diagonal_in, diagonal_out)
        dx, dweight, *rest = _differentiable(g, tensors, ctx.settings, (*needs[:2], *needs[3:6]))
        return dx, dweight, dbias, *rest, None, None, None
    changed = _changed(x, weight, w, diagonal_in, diagonal_out, scale, layout, window)
    wanted = needs[0], needs[1] or any(needs[3:6]), False
    with without_autocast(x.device):
        dx, dchanged, _ = torch.ops.aten.convolution_backward(
            g, x, changed, None, *window[1:4], False, (0, 0), window.groups, wanted
        )
    of_factors: list[Tensor | None] = [None] * 3
    if any(needs[3:6]):
        rows = dchanged.flatten(1)
        m, n, b = w.shape
        gradients = (
            kernel_from_delta(rows, m, n, b, layout, scale, diagonal_in, diagonal_out),
            *diagonals_from_delta(rows, w, layout, scale, diagonal_in, diagonal_out),
        )
        of_factors = in_dtypes_of((w, diagonal_in, diagonal_out), gradients)
    return dx, dchanged if needs[1] else None, dbias, *of_factors, None, None, None


def _differentiable(
    g: Tensor, tensors: tuple[Tensor | None, ...], settings: tuple[Any, ...], needs: tuple[bool, ...]
) -> list[Tensor | None]:
    """Return the gradients of the tensors that need one, computed so that they have gradients themselves."""
    keeps_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # New nodes of the graph, so that a gradient takes no path through another argument, which may depend on it.
        x, weight, *factors = [None if t is None else t.view_as(t) for t in tensors]
        assert x is not None
        y = _composed(x, weight, None, *factors, *settings)  # type: ignore[arg-type]
        wanted = [t for t, needed in zip((x, weight, *factors), needs, strict=True) if needed and t is not None]
        found = iter(torch.autograd.grad(y, wanted, g, create_graph=keeps_graph) if wanted else ())
    return [next(found) if needed and t is not None else None for t, needed in zip(tensors, needs, strict=True)]


_plain = eager(_compute, layer_context, _gradients)
