"""Triton kernels of the fused product: transforms as small matrix products, with every intermediate kept on the chip.

The transform is that of `circpeft.ops.backends.two_factors`: a block of ``b = n1 * n2`` numbers is an ``n1`` by ``n2``
matrix, and two tokens share a transform as its real and imaginary part. Tiles are ``p1`` by ``p2``, the next powers of
two, padded with zeros. In the names, ``r`` stands for a real and ``i`` for an imaginary part.
"""

import triton
import triton.language as tl

INTERPRETED = triton.knobs.runtime.interpret
# Choosing among several numbers of warps needs a GPU to time them on.
WARPS = (4,) if INTERPRETED else (2, 4, 8)
CONFIGS = [triton.Config({}, num_warps=warps) for warps in WARPS]


@triton.jit
def _tile(pointer, rows, columns, n1, n2):
    """Load a table of n1 by n2 numbers as a padded tile."""
    mask = (rows < n1) & (columns < n2)
    return tl.load(pointer + rows * n2 + columns, mask=mask, other=0.0)


@triton.jit
def _tables(f1r, f1i, tr, ti, f2r, f2i, n1, n2, p1: tl.constexpr, p2: tl.constexpr):
    """Load the DFT matrix of n1, the twiddle factors and the DFT matrix of n2 as tiles."""
    rows, columns = tl.arange(0, p1)[:, None], tl.arange(0, p2)[None, :]
    f1, f2 = tl.arange(0, p1)[None, :], tl.arange(0, p2)[:, None]
    f1r, f1i = _tile(f1r, rows, f1, n1, n1), _tile(f1i, rows, f1, n1, n1)
    f2r, f2i = _tile(f2r, f2, columns, n2, n2), _tile(f2i, f2, columns, n2, n2)
    return f1r, f1i, _tile(tr, rows, columns, n1, n2), _tile(ti, rows, columns, n1, n2), f2r, f2i


@triton.jit
def _product(ar, ai, br, bi, precision: tl.constexpr):
    """Multiply two complex matrices."""
    real = tl.dot(ar, br, input_precision=precision) - tl.dot(ai, bi, input_precision=precision)
    return real, tl.dot(ar, bi, input_precision=precision) + tl.dot(ai, br, input_precision=precision)


@triton.jit
def _transform(zr, zi, f1r, f1i, tr, ti, f2r, f2i, precision: tl.constexpr):
    """Transform a tile: DFT of n1 from the left, twiddle factors, DFT of n2 from the right."""
    ar, ai = _product(f1r, f1i, zr, zi, precision)
    return _product(ar * tr - ai * ti, ar * ti + ai * tr, f2r, f2i, precision)


@triton.jit
def _inverse(yr, yi, f1r, f1i, tr, ti, f2r, f2i, precision: tl.constexpr):
    """Invert `_transform` without the factor 1/b: the conjugate matrices in reverse order."""
    cr, ci = _product(yr, yi, f2r, -f2i, precision)
    return _product(f1r, -f1i, cr * tr + ci * ti, ci * tr - cr * ti, precision)


@triton.jit
def _pair(pointer, token, tokens, stride, column, width, inside, scale):
    """Load one block of two neighbouring tokens, times a diagonal."""
    at = pointer + token * stride + column
    mask = inside & (column < width)
    first = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(at + stride, mask=mask & (token + 1 < tokens), other=0.0).to(tl.float32)
    return first * scale, second * scale


@triton.jit
def _diagonal(pointer, column, width, inside, exists: tl.constexpr):
    """Load one block of a diagonal; ones where the product has no diagonal."""
    if exists:
        return tl.load(pointer + column, mask=inside & (column < width), other=0.0)
    return tl.where(inside, 1.0, 0.0)


@triton.autotune(configs=CONFIGS, key=["b", "d_in", "d_out"])
@triton.jit
def product(
    x, y, base, diagonal_in, diagonal_out, kr, ki, f1r, f1i, tr, ti, f2r, f2i,
    tokens, x_stride, y_stride, base_stride, d_in, d_out, n, b, n1, n2,
    p1: tl.constexpr, p2: tl.constexpr,
    has_in: tl.constexpr, has_out: tl.constexpr, has_base: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Write ``y = base + diagonal_out * C(w) (diagonal_in * x)``: one program per two tokens and row of blocks.

    ``kr, ki: (m, n, n1, n2)`` are the kernels' transforms divided by b.
    """
    token, i = 2 * tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, columns = tl.arange(0, p1)[:, None], tl.arange(0, p2)[None, :]
    inside, at = (rows < n1) & (columns < n2), rows * n2 + columns
    f1r, f1i, tr, ti, f2r, f2i = _tables(f1r, f1i, tr, ti, f2r, f2i, n1, n2, p1, p2)
    sr, si = tl.zeros((p1, p2), tl.float32), tl.zeros((p1, p2), tl.float32)
    for j in range(n):
        column = j * b + at
        scale = _diagonal(diagonal_in, column, d_in, inside, has_in)
        zr, zi = _pair(x, token, tokens, x_stride, column, d_in, inside, scale)
        zr, zi = _transform(zr, zi, f1r, f1i, tr, ti, f2r, f2i, precision)
        wr = tl.load(kr + (i * n + j) * b + at, mask=inside, other=0.0)
        wi = tl.load(ki + (i * n + j) * b + at, mask=inside, other=0.0)
        sr += zr * wr - zi * wi
        si += zr * wi + zi * wr
    sr, si = _inverse(sr, si, f1r, f1i, tr, ti, f2r, f2i, precision)
    column = i * b + at
    scale = _diagonal(diagonal_out, column, d_out, inside, has_out)
    sr, si = sr * scale, si * scale
    mask = inside & (column < d_out)
    if has_base:
        first, second = _pair(base, token, tokens, base_stride, column, d_out, inside, 1.0)
        sr, si = sr + first, si + second
    to = y + token * y_stride + column
    tl.store(to, sr.to(y.dtype.element_ty), mask=mask)
    tl.store(to + y_stride, si.to(y.dtype.element_ty), mask=mask & (token + 1 < tokens))


@triton.autotune(configs=CONFIGS, key=["b", "d_in", "d_out"])
@triton.jit
def gradients(
    g, x, diagonal_in, diagonal_out, kr, ki, f1r, f1i, tr, ti, f2r, f2i,
    total_r, total_i, sum_in, sum_out,
    tokens, g_stride, x_stride, d_in, d_out, m, n, b, n1, n2,
    p1: tl.constexpr, p2: tl.constexpr,
    has_in: tl.constexpr, has_out: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Sum ``conj(rfft u) rfft v`` and the diagonals' gradients for block (i, j), over every ``grid[0]``-th token pair.

    Here ``u = diagonal_in * x`` and ``v = diagonal_out * g``. Each program writes to a place of its own, and summing
    these places gives the same bits every time.
    """
    split, i, j = tl.program_id(0), tl.program_id(1) // n, tl.program_id(1) % n
    rows, columns = tl.arange(0, p1)[:, None], tl.arange(0, p2)[None, :]
    inside, at = (rows < n1) & (columns < n2), rows * n2 + columns
    f1r, f1i, tr, ti, f2r, f2i = _tables(f1r, f1i, tr, ti, f2r, f2i, n1, n2, p1, p2)
    wr = tl.load(kr + (i * n + j) * b + at, mask=inside, other=0.0)
    wi = tl.load(ki + (i * n + j) * b + at, mask=inside, other=0.0)
    x_column, g_column = j * b + at, i * b + at
    first = _diagonal(diagonal_in, x_column, d_in, inside, has_in)
    last = _diagonal(diagonal_out, g_column, d_out, inside, has_out)
    sr, si = tl.zeros((p1, p2), tl.float32), tl.zeros((p1, p2), tl.float32)
    of_in, of_out = tl.zeros((p1, p2), tl.float32), tl.zeros((p1, p2), tl.float32)
    token = 2 * split.to(tl.int64)
    while token < tokens:
        xr, xi = _pair(x, token, tokens, x_stride, x_column, d_in, inside, 1.0)
        gr, gi = _pair(g, token, tokens, g_stride, g_column, d_out, inside, 1.0)
        ur, ui = _transform(xr * first, xi * first, f1r, f1i, tr, ti, f2r, f2i, precision)
        vr, vi = _transform(gr * last, gi * last, f1r, f1i, tr, ti, f2r, f2i, precision)
        sr += ur * vr + ui * vi
        si += ur * vi - ui * vr
        if has_out:
            yr, yi = _inverse(ur * wr - ui * wi, ur * wi + ui * wr, f1r, f1i, tr, ti, f2r, f2i, precision)
            of_out += gr * yr + gi * yi
        if has_in:
            yr, yi = _inverse(vr * wr + vi * wi, vi * wr - vr * wi, f1r, f1i, tr, ti, f2r, f2i, precision)
            of_in += xr * yr + xi * yi
        token += 2 * tl.num_programs(0)
    to = ((split * m + i) * n + j) * b + at
    tl.store(total_r + to, sr, mask=inside)
    tl.store(total_i + to, si, mask=inside)
    if has_out:
        tl.store(sum_out + to, of_out, mask=inside)
    if has_in:
        tl.store(sum_in + to, of_in, mask=inside)
