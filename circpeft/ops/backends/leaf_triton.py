"""The products of backend "leaf" by Triton kernels and batched matrix products of torch.

The forward pass is four launches: the leaves' matrices, the transform, a batched product, the inverse transform. The
backward pass is seven without diagonals. Spectra and matrices are stored in the dtype of ``x``; products add up in
float32. Of the forward pass nothing is kept.
"""

import torch
from torch import Tensor

from ..operands import without_gaps
from ..precision import HALVES, tf32_allowed
from ..triton_launch import Kernels
from . import leaf_tiles
from .leaf_algebra import coarse_size, leaf_size
from .leaf_tiles import chunks, tables, tile

KERNELS = Kernels("circpeft.ops.backends.leaf_kernels", "the products of backend 'leaf'")

# From this many numbers on, offsets need 64 bits, and more registers.
LARGE = 2**31


def has_kernels(x: Tensor, w: Tensor) -> bool:
    """Return whether the kernels are made for these operands: float32 or less, on a device with Triton."""
    known = w.dtype == torch.float32 and x.dtype in (torch.float32, *HALVES) and coarse_size(w.shape[-1]) is not None
    return known and len(x) > 0 and KERNELS.are_usable(x.device)


def _precision(dtype: torch.dtype) -> str:
    """Return Triton's name for the precision of transforms: three TF32 products where one is not exact enough."""
    return "tf32" if dtype in HALVES or tf32_allowed() else "tf32x3"


def _transform(rows: Tensor, diagonal: Tensor | None, n: int, b: int, dtype: torch.dtype) -> Tensor:
    """Return the spectra of rows, leaf by leaf: ``(t, width) -> (R/2, t, 2*n*e)``, a view of ``(t, R/2, 2*n*e)``."""
    r, rows = leaf_size(b), without_gaps(rows)
    columns = n * (b // r)
    spectra = torch.empty(len(rows), r // 2, 2 * columns, dtype=dtype, device=rows.device)
    sizes = tile(r, b // r, columns)
    KERNELS.launch(
        "transform", (len(rows), chunks(columns, sizes)),
        rows, spectra, rows if diagonal is None else diagonal, tables(r, rows.device)["transform"], rows.stride(0),
        width=rows.shape[1], columns=columns, **sizes, has_diagonal=diagonal is not None, precision=_precision(dtype),
    )  # fmt: skip
    return spectra.transpose(0, 1)


def _inverse(spectra: Tensor, y: Tensor, diagonal: Tensor | None, base: Tensor | None, m: int, b: int) -> None:
    """Write ``base`` plus the diagonal times the tokens of ``spectra: (R/2, t, 2*m*e)`` into ``y: (t, width)``."""
    r, under = leaf_size(b), y if base is None else without_gaps(base)
    columns = m * (b // r)
    sizes = tile(r, b // r, columns)
    KERNELS.launch(
        "inverse", (len(y), chunks(columns, sizes)),
        spectra, y, under, y if diagonal is None else diagonal, tables(r, y.device)["transform"], spectra.stride(0),
        y.stride(0), under.stride(0), width=y.shape[1], columns=columns, **sizes, has_diagonal=diagonal is not None,
        has_base=base is not None, large=spectra.numel() >= LARGE, precision=_precision(spectra.dtype),
    )  # fmt: skip


def _diagonal_gradient(
    spectra: Tensor, other: Tensor, diagonal: Tensor, y: Tensor | None, blocks: int, b: int, accumulate: bool = False
) -> Tensor:
    """Return the sum over tokens of ``other`` times the tokens of ``spectra``; write the latter times the diagonal.

    Nothing is written where ``y`` is None. With ``accumulate``, ``y`` is added to.
    """
    r, other = leaf_size(b), without_gaps(other)
    columns, (tokens, width) = blocks * (b // r), other.shape
    sizes = tile(r, b // r, columns)
    programs = min(tokens, leaf_tiles.SHARES["tokens"])
    sums = diagonal.new_empty(programs, width)
    to = sums if y is None else y
    KERNELS.launch(
        "inverse_and_sum", (programs, chunks(columns, sizes)),
        spectra, to, other, sums, diagonal, tables(r, other.device)["transform"], tokens, spectra.stride(0),
        to.stride(0), other.stride(0), width=width, columns=columns, **sizes, has_y=y is not None,
        accumulate=accumulate, large=spectra.numel() >= LARGE, precision=_precision(spectra.dtype),
    )  # fmt: skip
    return sums.sum(0)


def _matrices(w: Tensor, layout: str, scale: float, dtype: torch.dtype) -> Tensor:
    """Return the matrices of the leaves, ``(R/2, 2*n*e, 2*m*e)``."""
    (m, n, b), r = w.shape, leaf_size(w.shape[-1])
    e = b // r
    matrices = torch.empty(r // 2, 2 * n * e, 2 * m * e, dtype=dtype, device=w.device)
    sizes = tile(r, e, m * e, leaf_tiles.TILE // 2)
    KERNELS.launch(
        "leaf_matrices", (2 * n * e, chunks(m * e, sizes)),
        w.contiguous(), matrices, tables(r, w.device)["matrices"], scale,
        m=m, n=n, **sizes, row=layout == "row", precision=_precision(dtype),
    )  # fmt: skip
    return matrices


def _kernel_gradient(of_leaves: Tensor, w: Tensor, layout: str, scale: float, precision: str) -> Tensor:
    """Return the gradient of ``w: (m, n, b)`` from that of the leaves, ``(R/2, 2*n*e, 2*m*e)``."""
    (m, n, b), r = w.shape, leaf_size(w.shape[-1])
    sizes = tile(r, b // r, m * (b // r), leaf_tiles.TILE // 2)
    programs = n * chunks(m * (b // r), sizes)
    shares = min(b // r, max(1, leaf_tiles.SHARES["shifts"] // (2 * programs)))
    dw = w.new_empty(shares, m, n, b)
    KERNELS.launch(
        "kernel_gradient", (n, programs // n, shares),
        of_leaves, dw, tables(r, w.device)["gradient"], scale,
        m=m, n=n, **sizes, row=layout == "row", precision=precision,
    )  # fmt: skip
    return dw[0] if shares == 1 else dw.sum(0)


def _sum_of_products(x_hat: Tensor, g_hat: Tensor) -> Tensor:
    """Return ``x_hat^T g_hat`` of every leaf in float32, which has room for a sum over many tokens."""
    if x_hat.dtype == torch.float32:
        return torch.bmm(x_hat.mT, g_hat)
    if x_hat.device.type == "cpu":  # only in Triton's interpreter: torch has no such product for CPUs
        return torch.bmm(x_hat.mT.float(), g_hat.float())
    return torch.bmm(x_hat.mT, g_hat, out_dtype=torch.float32)


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

    Raises: KernelFailed if Triton fails; nothing is written to ``y`` then.
    """
    m, n, b = w.shape
    matrices = _matrices(w, layout, scale, x.dtype)
    _inverse(torch.bmm(_transform(x, diagonal_in, n, b, x.dtype), matrices), y, diagonal_out, base, m, b)


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

    Raises: KernelFailed if Triton fails; nothing is written to ``dx`` then.
    """
    (m, n, b), d_in, d_out = w.shape, None, None
    x_hat, g_hat = _transform(x, diagonal_in, n, b, x.dtype), _transform(g, diagonal_out, m, b, x.dtype)
    dw = _kernel_gradient(_sum_of_products(x_hat, g_hat), w, layout, scale, _precision(x.dtype))
    if dx is None and diagonal_in is None and diagonal_out is None:
        return dw, None, None
    matrices = _matrices(w, layout, scale, x.dtype)
    if diagonal_out is not None:
        d_out = _diagonal_gradient(torch.bmm(x_hat, matrices), g, diagonal_out, None, m, b)
    if diagonal_in is not None:
        d_in = _diagonal_gradient(torch.bmm(g_hat, matrices.mT), x, diagonal_in, dx, n, b, accumulate)
    elif dx is not None:
        _inverse(torch.bmm(g_hat, matrices.mT), dx, None, dx if accumulate else None, n, b)
    return dw, d_in, d_out
