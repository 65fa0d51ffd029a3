"""The products of backend "leaf" in torch, one chunk of tokens at a time, for every dtype and device."""

import torch
from torch import Tensor

from . import leaf_algebra as algebra
from .leaf_algebra import leaf_size
from .rfft import scaled, scaled_blocks, tokens_per_chunk, write


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
    """Write ``base + scale * diagonal_out * C(w) (diagonal_in * x)`` into ``y``.

    Shapes: ``x: (t, d_in)``, ``w: (m, n, b)`` float32 or float64, ``y, base: (t, d_out)``; b has a `leaf_size`.
    """
    m, n, b = w.shape
    r = leaf_size(b)
    matrices = algebra.leaf_matrices(scaled(w, scale), r, layout)
    step = tokens_per_chunk(x, max(m, n) * b)
    for start in range(0, len(x), step):
        chunk = slice(start, start + step)
        spectra = algebra.transform(scaled_blocks(x[chunk], diagonal_in, w[0]), r)
        rows = algebra.inverse(algebra.product(spectra, matrices), m)[:, : y.shape[-1]]
        if diagonal_out is not None:
            rows *= diagonal_out
        if base is None:
            y[chunk] = rows
        else:
            torch.add(rows, base[chunk], out=y[chunk])


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

    Shapes: ``g: (t, d_out)``, ``x, dx: (t, d_in)``. Chunks are summed in a fixed order: deterministic.
    """
    m, n, b = w.shape
    r = leaf_size(b)
    needs_input = dx is not None or diagonal_in is not None
    matrices = algebra.leaf_matrices(scaled(w, scale), r, layout) if needs_input or diagonal_out is not None else w
    total = w.new_zeros(r // 2, 2 * n * b // r, 2 * m * b // r)
    d_in, d_out = (None if d is None else torch.zeros_like(d) for d in (diagonal_in, diagonal_out))
    step = tokens_per_chunk(x, max(m, n) * b)
    for start in range(0, len(x), step):
        chunk = slice(start, start + step)
        x_hat = algebra.transform(scaled_blocks(x[chunk], diagonal_in, w[0]), r)
        g_hat = algebra.transform(scaled_blocks(g[chunk], diagonal_out, w[:, 0]), r)
        torch.baddbmm(total, algebra.pairs(x_hat).mT, algebra.pairs(g_hat), out=total)
        if d_out is not None:
            y = algebra.inverse(algebra.product(x_hat, matrices), m)[:, : g.shape[-1]]
            d_out += (y * g[chunk]).sum(0)
        if needs_input:
            u_grad = algebra.inverse(algebra.product(g_hat, matrices.mT), n)[:, : x.shape[-1]]
            if d_in is not None:
                d_in += (u_grad * x[chunk]).sum(0)
            if dx is not None:
                write(dx[chunk], u_grad if diagonal_in is None else u_grad * diagonal_in, accumulate)
    return scaled(algebra.kernel_from_leaves(total, m, n, layout), scale), d_in, d_out
