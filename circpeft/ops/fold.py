"""Folding: an adapted linear layer as one dense product, with the change added to the base weight for this call.

``y = x (W + ΔW)^T + bias`` needs one matrix product, as the frozen layer does, and so does the gradient of ``x``. The
gradient of the kernel is that of `block_circular_matmul`. Do not fold if ``W`` has too few bits for ``ΔW``: the sum
would round the change away.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.flop_counter import register_flop_formula

from .checks import check_product, opposite
from .circulant import fill_block_circulant, row_kernel
from .delta import delta_weight
from .operator import operator
from .precision import without_autocast
from .product import block_circular_kernel_grad, block_circular_matmul


def adapted_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, w: Tensor, scale: float = 1.0, layout: str = "column"
) -> Tensor:
    """Apply a linear layer with a block-circulant change of its weight, in one product.

    Formula: ``y = x @ (weight + scale * block_circulant(w, layout)).T + bias``.

    Shapes: ``x: (..., n*b)``, ``weight: (m*b, n*b)``, ``bias: (m*b,)``, ``w: (m, n, b)`` -> ``(..., m*b)``, all of one
    floating-point dtype. Differentiable to any order in every tensor. Only the arguments are saved: the backward pass
    computes the sum of the weights again. On a CPU, a large sum is never in memory at once, but in bands of a few
    megabytes.

    Raises: ValueError for shapes, dtypes or devices that do not fit, or an unknown layout; TypeError for tensors that
    are not real floating point.

    >>> w = torch.tensor([[[1.0, 2.0]]])
    >>> adapted_linear(torch.tensor([1.0, 0.0]), torch.eye(2), None, w)
    tensor([2., 2.])
    """
    check_product(x, w, layout)
    m, n, b = w.shape
    if weight.shape != (m * b, n * b):
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} does not fit w of shape {(m, n, b)}: expected {(m * b, n * b)}"
        )
    if not x.dtype == weight.dtype == w.dtype or weight.device != w.device:
        listing = ", ".join(f"{k} {t.dtype} on {t.device}" for k, t in (("x", x), ("weight", weight), ("w", w)))
        raise ValueError(f"adapted_linear needs one dtype and one device, got {listing}")
    return _adapted(x, weight, bias, w, float(scale), layout, False)


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


def _compute(
    x: Tensor, weight: Tensor, bias: Tensor | None, w: Tensor, scale: float, layout: str, transposed: bool
) -> Tensor:
    with without_autocast(x.device):
        if x.device.type == "cpu" and weight.numel() > 2 * BAND_NUMBERS:
            kernel = row_kernel(w if scale == 1 else w * scale, layout)
            y = _in_bands(x.reshape(-1, x.shape[-1]), weight, bias, kernel, transposed)
            return y.view(*x.shape[:-1], y.shape[-1])
        folded = delta_weight(w, layout, scale, weight=weight)
        # The same call as in the frozen layer, so that ΔW = 0 gives the same bits.
        return x @ folded if transposed else linear(x, folded, bias)


def _fake(x, weight, bias, w, scale, layout, transposed) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[1] if transposed else weight.shape[0])


def _composed(x, weight, bias, w, scale, layout, transposed) -> Tensor:
    """Return the two products and their sum, for the transforms of torch.func: the weights are not added."""
    with without_autocast(x.device):
        y = x @ weight if transposed else linear(x, weight, bias)
    grid, of_grid = (w.transpose(0, 1), opposite(layout)) if transposed else (w, layout)
    return y + block_circular_matmul(x, grid if scale == 1 else grid * scale, of_grid)


def _context(ctx, inputs, output):
    x, weight, _, w, ctx.scale, ctx.layout, ctx.transposed = inputs
    ctx.save_for_backward(x, weight, w)


def _backward(ctx, g):
    x, weight, w = ctx.saved_tensors
    dx = dweight = dbias = dw = None
    # The sides of the weight: (out, in) is (g, x), or (x, g) for the product with the transposed weight.
    out_side, in_side = (x, g) if ctx.transposed else (g, x)
    if ctx.needs_input_grad[0]:
        dx = _adapted(g, weight, None, w, ctx.scale, ctx.layout, not ctx.transposed)
    if ctx.needs_input_grad[1]:
        dweight = out_side.reshape(-1, out_side.shape[-1]).T @ in_side.reshape(-1, in_side.shape[-1])
    if ctx.needs_input_grad[2]:
        dbias = g.reshape(-1, g.shape[-1]).sum(0)
    if ctx.needs_input_grad[3]:
        dw = block_circular_kernel_grad(out_side, in_side, w.shape[-1], ctx.layout)
        dw = dw if ctx.scale == 1 else dw * ctx.scale
    return dx, dweight, dbias, dw, None, None, None


_adapted = operator("adapted_matmul", _compute, _fake, _composed, _context, _backward)


@register_flop_formula(torch.ops.circpeft.adapted_matmul)
def _flops(x_shape, weight_shape, bias_shape, w_shape, scale, layout, transposed, *args, **kwargs) -> int:
    size = weight_shape[0] * weight_shape[1]
    return 2 * torch.Size(x_shape[:-1]).numel() * size + size
