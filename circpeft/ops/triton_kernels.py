"""Triton kernels of the fused product: transforms as small matrix products, without leaving the chip in between.

A block of ``b = n1 * n2`` numbers is an ``n1`` by ``n2`` matrix; its Fourier transform is a product with the DFT matrix
of ``n1`` from the left, twiddle factors entry by entry, and a product with that of ``n2`` from the right (Cooley and
Tukey 1965). The kernels are real, so two tokens go as real and imaginary part of one transform. Tiles are ``p1`` by
``p2``, the next powers of two: what pads them is zero.
"""

import triton
import triton.language as tl

INTERPRETED = triton.knobs.runtime.interpret
# A launch with numbers of warps to choose from needs a GPU to time them on.
WARPS = (4,) if INTERPRETED else (2, 4, 8)
CONFIGS = [triton.Config({}, num_warps=warps) for warps in WARPS]


@triton.jit
def _tile(pointer, rows, columns, n1, n2):
    """A table of n1 by n2 numbers as a padded tile."""
    mask = (rows < n1) & (columns < n2)
    return tl.load(pointer + rows * n2 + columns, mask=mask, other=0.0)


@triton.jit
def _tables(f1r, f1i, tr, ti, f2r, f2i, n1, n2, p1: tl.constexpr, p2: tl.constexpr):
    """DFT matrix of n1, twiddle factors and DFT matrix of n2 as tiles."""
    rows, columns = tl.arange(0, p1)[:, None], tl.arange(0, p2)[None, :]
    f1, f2 = tl.arange(0, p1)[None, :], tl.arange(0, p2)[:, None]
    f1r, f1i = _tile(f1r, rows, f1, n1, n1), _tile(f1i, rows, f1, n1, n1)
    f2r, f2i = _tile(f2r, f2, columns, n2, n2), _tile(f2i, f2, columns, n2, n2)
    return f1r, f1i, _tile(tr, rows, columns, n1, n2), _tile(ti, rows, columns, n1, n2), f2r, f2i


@triton.jit
def _product(ar, ai, br, bi, precision: tl.constexpr):
    real = tl.dot(ar, br, input_precision=precision) - tl.dot(ai, bi, input_precision=precision)
    return real, tl.dot(ar, bi, input_precision=precision) + tl.dot(ai, br, input_precision=precision)


@triton.jit
def _transform(zr, zi, f1r, f1i, tr, ti, f2r, f2i, precision: tl.constexpr):
    ar, ai = _product(f1r, f1i, zr, zi, precision)
    return _product(ar * tr - ai * ti, ar * ti + ai * tr, f2r, f2i, precision)


@triton.jit
def _back(yr, yi, f1r, f1i, tr, ti, f2r, f2i, precision: tl.constexpr):
    """The inverse, without its 1/b: the conjugates in reverse order."""
    cr, ci = _product(yr, yi, f2r, -f2i, precision)
    return _product(f1r, -f1i, cr * tr + ci * ti, ci * tr - cr * ti, precision)


@triton.jit
def _pair(pointer, token, tokens, stride, column, width, inside, scale):
    """One block of two neighbouring tokens, times a diagonal."""
    at = pointer + token * stride + column
    mask = inside & (column < width)
    first = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(at + stride, mask=mask & (token + 1 < tokens), other=0.0).to(tl.float32)
    return first * scale, second * scale


@triton.jit
def _diagonal(pointer, column, width, inside, there: tl.constexpr):
    if there:
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
    """``y = base + diagonal_out * C(w) (diagonal_in * x)``: a program for two tokens and one row of blocks.

    ``kr, ki: (m, n, n1, n2)`` are the kernels' transforms over b.
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
    sr, si = _back(sr, si, f1r, f1i, tr, ti, f2r, f2i, precision)
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
    """Sums over every ``grid[0]``-th pair of tokens, for block (i, j): of ``conj(rfft u) rfft v`` and of the diagonals'
    gradients, with ``u = diagonal_in * x`` and ``v = diagonal_out * g``; each program has its own place, so that adding
    the places up gives the same bits every time.
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
            yr, yi = _back(ur * wr - ui * wi, ur * wi + ui * wr, f1r, f1i, tr, ti, f2r, f2i, precision)
            of_out += gr * yr + gi * yi
        if has_in:
            yr, yi = _back(vr * wr + vi * wi, vi * wr - vr * wi, f1r, f1i, tr, ti, f2r, f2i, precision)
            of_in += xr * yr + xi * yi
        token += 2 * tl.num_programs(0)
    to = ((split * m + i) * n + j) * b + at
    tl.store(total_r + to, sr, mask=inside)
    tl.store(total_i + to, si, mask=inside)
    if has_out:
        tl.store(sum_out + to, of_out, mask=inside)
    if has_in:
        tl.store(sum_in + to, of_in, mask=inside)
