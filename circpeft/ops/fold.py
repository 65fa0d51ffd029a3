"""Folding: an adapted linear layer as one dense product, with the change added to the base weight for this call.

``y = x (W + ΔW)^T + bias`` needs one matrix product, as the frozen layer does, and so does the gradient of ``x``. The
gradients of kernel and diagonals are those of `circpeft.ops.diagonal_circulant_matmul`. Do not fold if ``W`` has too
few bits for ``ΔW``: the sum would round the change away.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from .checks import opposite
from .circulant import fill_block_circulant, row_kernel
from .delta import delta_weight
from .delta_torch import positions, taken
from .diagonal import diagonal_circulant_matmul
from .diagonal_backward import diagonal_gradients
from .flops import register_flops
from .operands import as_rows
from .operator import layer_context, operator
from .precision import without_autocast
from .product import block_circular_kernel_grad


def tiny_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
) -> Tensor:
    """Return the folded layer by the fewest calls of torch, which autograd records; saves the sum of the weights.

    Shapes and dtypes: as in `circpeft.ops.adapted_linear`, on a CPU.
    """
    delta = taken(w, positions(*w.shape, *weight.shape, layout))
    if diagonal_in is not None:
        delta = delta * diagonal_in
    if diagonal_out is not None:
        delta = delta * diagonal_out.unsqueeze(1)
    return linear(x, torch.add(weight, delta, alpha=scale), bias)


# Numbers of one band. A weight larger than two bands is summed and multiplied one band at a time.
BAND_NUMBERS = 1024 * 1024


def _bands(blocks: int, b: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the bands of ``blocks`` blocks of ``b`` rows (or columns), each ``width`` long, as two slices.

    The slices select blocks, and rows of each: a band is either several complete blocks, or some rows of one block.
    """
    rows = max(1, BAND_NUMBERS // width)
    if rows >= b:
        for i in range(0, blocks, rows // b):
            yield slice(i, min(blocks, i + rows // b)), slice(0, b)
    else:
        for i in range(blocks):
            for r in range(0, b, rows):
                yield slice(i, i + 1), slice(r, min(b, r + rows))


def _in_bands(x: Tensor, weight: Tensor, bias: Tensor | None, w: Tensor, transposed: bool) -> Tensor:
    """Return the product, computed by bands of output features; ``x: (t, features)``, and ``w`` in the row layout."""
    m, n, b = w.shape
    all_of_block = slice(0, b)
    y = x.new_empty(len(x), (n if transposed else m) * b)
    buffer = x.new_empty(max(BAND_NUMBERS, (m if transposed else n) * b))
    for blocks, part in _bands(n if transposed else m, b, (m if transposed else n) * b):
        features = slice(blocks.start * b + part.start, (blocks.stop - 1) * b + part.stop)
        size = features.stop - features.start
        weight_slice = slice(blocks.start * b, blocks.stop * b)
        if transposed:
            band = buffer[: m * b * size].view(m * b, size)
            fill_block_circulant(band, weight[:, weight_slice], w[:, blocks], all_of_block, part)
            torch.mm(x, band, out=y[:, features])
            continue
        band = buffer[: size * n * b].view(size, n * b)
        fill_block_circulant(band, weight[weight_slice], w[blocks], part, all_of_block)
        if bias is None:
            torch.mm(x, band.T, out=y[:, features])
        else:
            torch.addmm(bias[features], x, band.T, out=y[:, features])
    return y


def _is_plain(weight: Tensor, w: Tensor, diagonal_in: Tensor | None, diagonal_out: Tensor | None) -> bool:
    """Return whether the change consists of whole blocks without diagonals, on a CPU."""
    m, n, b = w.shape
    whole = weight.shape == (m * b, n * b)
    return whole and diagonal_in is None and diagonal_out is None and weight.device.type == "cpu"


def _compute(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    transposed: bool,
) -> Tensor:
    with without_autocast(x.device):
        if weight.numel() > 2 * BAND_NUMBERS and _is_plain(weight, w, diagonal_in, diagonal_out):
            w = w if scale == 1 else w * scale
            y = _in_bands(x.reshape(-1, x.shape[-1]), weight, bias, row_kernel(w, layout), transposed)
            return y.view(*x.shape[:-1], y.shape[-1])
        d_out, d_in = weight.shape
        folded = delta_weight(w, layout, scale, diagonal_in, diagonal_out, d_out, d_in, weight=weight)
        # The same call as in the frozen layer, so that ΔW = 0 gives the same bits.
        return x @ folded if transposed else linear(x, folded, bias)


def _fake(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    transposed: bool,
) -> Tensor:
    y: Tensor = x.new_empty(*x.shape[:-1], weight.shape[1] if transposed else weight.shape[0])
    return y


def _composed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    w: Tensor,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    scale: float,
    layout: str,
    transposed: bool,
) -> Tensor:
    """Return the two products and their sum, for the transforms of torch.func: the weights are not added."""
    with without_autocast(x.device):
        y = x @ weight if transposed else linear(x, weight, bias)
    if transposed:
        w, diagonal_in, diagonal_out, layout = w.transpose(0, 1), diagonal_out, diagonal_in, opposite(layout)
    return diagonal_circulant_matmul(x, w, diagonal_in, diagonal_out, y, scale, layout)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, w, diagonal_in, diagonal_out = ctx.saved_tensors
    (scale, layout, transposed), needs = ctx.settings, ctx.needs_input_grad
    # The sides of the weight: (out, in) is (g, x), or (x, g) for the product with the transposed weight.
    outer, inner = (x, g) if transposed else (g, x)
    dx = dweight = dbias = None
    if needs[0]:
        dx = folded_linear(g, weight, None, w, diagonal_in, diagonal_out, scale, layout, not transposed)
    if needs[1]:
        dweight = as_rows(outer).T @ as_rows(inner)
    if needs[2]:
        dbias = as_rows(g).sum(0)
    gradients: Sequence[Tensor | None] = (None,) * 3
    if needs[3] and _is_plain(weight, w, diagonal_in, diagonal_out):
        dw = block_circular_kernel_grad(outer, inner, w.shape[-1], layout)
        gradients = dw if scale == 1 else dw * scale, None, None
    elif any(needs[3:6]):
        wanted = False, *needs[3:6]
        factors = w, diagonal_in, diagonal_out
        _, *gradients = diagonal_gradients(outer, inner, *factors, scale, layout, "dense", wanted)
    return dx, dweight, dbias, *gradients, None, None, None


folded_linear = operator("adapted_matmul", _compute, _fake, _composed, layer_context, _backward)


@register_flops("adapted_matmul")
def _flops(x_shape: Sequence[int], weight_shape: Sequence[int], *args: Any, **kwargs: Any) -> int:
    size = weight_shape[0] * weight_shape[1]
    return 2 * torch.Size(x_shape[:-1]).numel() * size + size
