"""Triton kernels for ``ΔW`` as a dense matrix, and for the gradients that follow from its gradient (`delta_triton`).

A tile has ``BR`` rows and ``BC`` columns. Sizes are constants of the compiled kernels, since reads and writes are only
then as wide as the layout in memory allows. The numbers of a block's row lie in memory without a gap, but begin at any
place of the kernel, so they are read one by one, by neighbouring threads.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(d_out: tl.constexpr, d_in: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr):
    """Return the rows and columns of a program's tile, and which entries are inside the matrix."""
    i = tl.program_id(0) * BR + tl.arange(0, BR)[:, None]
    j = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    return i, j, (i < d_out) & (j < d_in)


@triton.jit
def _circulant(w, i, j, inside, n: tl.constexpr, b: tl.constexpr, row: tl.constexpr):
    """Return entries of the block-circulant matrix of ``w: (m, n, b)``."""
    shift = j % b - i % b if row else i % b - j % b
    shift = tl.where(shift < 0, shift + b, shift)
    block = (i // b) * n + j // b
    return tl.load(w + block * b + shift, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _entries(vector, start, length: tl.constexpr, COUNT: tl.constexpr):
    """Return entries of a vector from a place on, in float32; zero beyond its length."""
    at = start + tl.arange(0, COUNT)
    return tl.load(vector + at, mask=at < length, other=0.0).to(tl.float32)


@triton.jit
def fill(
    out, w, weight, diagonal_in, diagonal_out, scale,
    d_out: tl.constexpr, d_in: tl.constexpr, n: tl.constexpr, b: tl.constexpr, weight_stride: tl.constexpr,
    row: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr,
    has_weight: tl.constexpr, has_in: tl.constexpr, has_out: tl.constexpr,
):  # fmt: skip
    """Write ``out = weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)``, one program per tile."""
    i, j, inside = _tile(d_out, d_in, BR, BC)
    entry = _circulant(w, i, j, inside, n, b, row)
    if has_in:
        entry *= _entries(diagonal_in, tl.program_id(1) * BC, d_in, BC)[None, :]
    if has_out:
        entry *= _entries(diagonal_out, tl.program_id(0) * BR, d_out, BR)[:, None]
    entry *= scale
    if has_weight:
        at = weight + i.to(tl.int64) * weight_stride + j
        entry = tl.load(at, mask=inside, other=0.0).to(tl.float32) + entry
    tl.store(out + i.to(tl.int64) * d_in + j, entry.to(out.dtype.element_ty), mask=inside)


@triton.jit
def kernel_gradient(
    gradient, dw, diagonal_in, diagonal_out, scale,
    d_out: tl.constexpr, d_in: tl.constexpr, m: tl.constexpr, n: tl.constexpr, b: tl.constexpr, stride: tl.constexpr,
    row: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr, shares: tl.constexpr, width: tl.constexpr,
    has_in: tl.constexpr, has_out: tl.constexpr,
):  # fmt: skip
    """Sum ``scale * diag(diagonal_out) G diag(diagonal_in)`` along the diagonals of blocks: ``dw: (shares, m, n, b)``.

    A program sums over every ``shares``-th row ``r`` of the blocks, from ``r = s`` on, and writes to its own place. Its
    columns are those of row s. Row ``r`` is read ``r - s`` columns further on, so that reads are as wide as the
    common divisors of ``b`` and ``shares`` allow, ``width`` numbers.
    """
    i, s = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    place = column % b
    first = column - place  # of the block
    total = tl.zeros((BR, BC), tl.float32)
    for start in range(0, tl.cdiv(b, shares), BR):
        along = (start + tl.arange(0, BR)) * shares
        further, r = along[:, None], s + along[:, None]
        j = place + further
        j = first + tl.where(j >= b, j - b, j)
        j = tl.max_contiguous(tl.multiple_of(j, [1, width]), [1, width])
        inside = (r < b) & (i * b + r < d_out) & (column < n * b) & (j < d_in)
        at = gradient + (i * b + r).to(tl.int64) * stride + j
        value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        if has_in:
            value *= tl.load(diagonal_in + j, mask=inside, other=0.0).to(tl.float32)
        if has_out:
            inside = (s + along < b) & (i * b + s + along < d_out)
            weights = tl.load(diagonal_out + i * b + s + along, mask=inside, other=0.0).to(tl.float32)
            value *= weights[:, None]
        total += value
    sums = tl.sum(total, 0)[None, :] * scale
    shift = place - s if row else s - place
    shift = tl.where(shift < 0, shift + b, shift)
    to = dw + (s * m + i).to(tl.int64) * (n * b) + first + shift
    tl.store(to, sums, mask=column < n * b)


@triton.jit
def diagonal_gradients(
    gradient, w, of_in, of_out, diagonal_in, diagonal_out, scale,
    d_out: tl.constexpr, d_in: tl.constexpr, n: tl.constexpr, b: tl.constexpr, stride: tl.constexpr,
    row: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr, has_in: tl.constexpr, has_out: tl.constexpr,
):  # fmt: skip
    """Sum ``scale * G * C(w)`` over rows, with ``diagonal_out`` as weights, and over columns, with ``diagonal_in``.

    A program sums over its tile and writes to a place of its own: ``of_in: (rows of tiles, d_in)`` and
    ``of_out: (columns of tiles, d_out)``.
    """
    i, j, inside = _tile(d_out, d_in, BR, BC)
    value = tl.load(gradient + i.to(tl.int64) * stride + j, mask=inside, other=0.0).to(tl.float32)
    value *= _circulant(w, i, j, inside, n, b, row) * scale
    if has_in:
        weighted = value
        if has_out:
            weighted *= _entries(diagonal_out, tl.program_id(0) * BR, d_out, BR)[:, None]
        tl.store(of_in + tl.program_id(0) * d_in + j, tl.sum(weighted, 0)[None, :], mask=j < d_in)
    if has_out:
        weighted = value
        if has_in:
            weighted *= _entries(diagonal_in, tl.program_id(1) * BC, d_in, BC)[None, :]
        tl.store(of_out + tl.program_id(1) * d_out + i, tl.sum(weighted, 1)[:, None], mask=i < d_out)
