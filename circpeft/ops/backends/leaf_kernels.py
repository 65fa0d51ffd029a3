"""Triton kernels of backend "leaf": between them, matrix products of torch do the rest (`leaf_triton`).

The algebra is that of `circpeft.ops.backends.leaf_algebra`, with its letters: a block of ``b = R * e`` numbers is an
``R x e`` matrix. A tile has ``RP`` rows, the first power of two from ``R`` and 16 on, and ``BC`` columns. A column
is a pair of a block and a place in it, so that neighbouring columns are neighbours in memory. Matrices of the transform
come from the host, padded with zeros to ``RP x RP``.

Sizes are constants of the compiled kernels, since loads are only then as wide as the layout in memory allows.
"""

import triton
import triton.language as tl


@triton.jit
def _matrix(table, RP: tl.constexpr, transposed: tl.constexpr):
    """Load a matrix of the transform, or its transpose."""
    i, j = tl.arange(0, RP)[:, None], tl.arange(0, RP)[None, :]
    return tl.load(table + (j * RP + i if transposed else i * RP + j))


@triton.jit
def _tile(chunk, columns: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr):
    """Return the rows and columns of a tile, where each lies in a token, and which of them exist."""
    r = tl.arange(0, RP)[:, None]
    c = chunk * BC + tl.arange(0, BC)[None, :]
    return r, c, r * e + ((c // e) * (R * e) + c % e), (r < R) & (c < columns)


@triton.jit
def transform(
    x, spectra, diagonal, table, x_stride,
    width: tl.constexpr, columns: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr,
    has_diagonal: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Write ``spectra[t] = F (diagonal * x[t])``: ``(t, width) -> (t, R, columns)``, one program per token and chunk.

    Every number is read once and written once. Beyond ``width``, a token counts as zero.
    """
    token = tl.program_id(0).to(tl.int64)
    r, c, at, inside = _tile(tl.program_id(1), columns, R, RP, e, BC)
    given = inside & (at < width) if width < R * columns else inside
    block = tl.load(x + token * x_stride + at, mask=given, other=0.0).to(tl.float32)
    if has_diagonal:
        block *= tl.load(diagonal + at, mask=given, other=0.0)
    spectrum = tl.dot(_matrix(table, RP, False), block, input_precision=precision)
    to = spectra + token * (R * columns) + r * columns + c
    tl.store(to, spectrum.to(spectra.dtype.element_ty), mask=inside)


@triton.jit
def inverse(
    spectra, y, base, diagonal, table, leaf_stride, y_stride, base_stride,
    width: tl.constexpr, columns: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr,
    has_diagonal: tl.constexpr, has_base: tl.constexpr, large: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Write ``y[t] = base[t] + diagonal * F^T spectra[:, t]``: ``(R/2, t, 2*columns) -> (t, width)``.

    One program per token and chunk. What lies beyond ``width`` is dropped. ``large`` spectra need offsets of 64 bits.
    """
    token = tl.program_id(0).to(tl.int64)
    r, c, at, inside = _tile(tl.program_id(1), columns, R, RP, e, BC)
    kept = inside & (at < width) if width < R * columns else inside
    leaf = (r // 2).to(tl.int64) if large else r // 2
    of = spectra + leaf * leaf_stride + token * (2 * columns) + (r % 2) * columns + c
    spectrum = tl.load(of, mask=inside, other=0.0).to(tl.float32)
    block = tl.dot(_matrix(table, RP, True), spectrum, input_precision=precision)
    if has_diagonal:
        block *= tl.load(diagonal + at, mask=kept, other=0.0)
    if has_base:
        block += tl.load(base + token * base_stride + at, mask=kept, other=0.0).to(tl.float32)
    tl.store(y + token * y_stride + at, block.to(y.dtype.element_ty), mask=kept)


@triton.jit
def inverse_and_sum(
    spectra, y, other, sums, diagonal, table, tokens, leaf_stride, y_stride, other_stride,
    width: tl.constexpr, columns: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr,
    has_y: tl.constexpr, accumulate: tl.constexpr, large: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Sum ``other[t] * F^T spectra[:, t]`` over tokens, and write ``y[t] = diagonal * F^T spectra[:, t]`` if asked to.

    With ``accumulate``, ``y`` is not overwritten but added to. The sum is a diagonal's gradient. A program takes every
    ``grid[0]``-th token and writes to a row of its own, ``sums: (grid[0], width)``; adding these rows gives the same
    bits every time.
    """
    first, token = tl.program_id(0), tl.program_id(0).to(tl.int64)
    r, c, at, inside = _tile(tl.program_id(1), columns, R, RP, e, BC)
    kept = inside & (at < width) if width < R * columns else inside
    leaf = (r // 2).to(tl.int64) if large else r // 2
    matrix = _matrix(table, RP, True)
    total = tl.zeros((RP, BC), tl.float32)
    while token < tokens:
        of = spectra + leaf * leaf_stride + token * (2 * columns) + (r % 2) * columns + c
        spectrum = tl.load(of, mask=inside, other=0.0).to(tl.float32)
        block = tl.dot(matrix, spectrum, input_precision=precision)
        total += block * tl.load(other + token * other_stride + at, mask=kept, other=0.0).to(tl.float32)
        if has_y:
            block *= tl.load(diagonal + at, mask=kept, other=0.0)
            if accumulate:
                block += tl.load(y + token * y_stride + at, mask=kept, other=0.0).to(tl.float32)
            tl.store(y + token * y_stride + at, block.to(y.dtype.element_ty), mask=kept)
        token += tl.num_programs(0)
    tl.store(sums + first * width + at, total, mask=kept)


@triton.jit
def leaf_matrices(
    w, matrices, pair, scale,
    m: tl.constexpr, n: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr,
    row: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Write the leaves' matrices ``(R/2, 2, n*e, 2, m*e)`` of ``scale * w: (m, n, b)``.

    A program writes one row of every leaf: it transforms the kernels, shifted by the row's place ``s`` in its block.
    ``pair`` holds two tables, ``(2, RP, RP)``: one for the rows of real parts, one for those of imaginary parts.
    """
    part, line = tl.program_id(0) // (n * e), tl.program_id(0) % (n * e)
    r, c, _, inside = _tile(tl.program_id(1), m * e, R, RP, e, BC)
    gap = r * e + c % e - line % e
    position = -gap if row else gap
    position = tl.where(position < 0, position + R * e, position)
    kernels = tl.load(w + ((c // e) * n + line // e) * (R * e) + position, mask=inside, other=0.0).to(tl.float32)
    rows = tl.dot(_matrix(pair + part * RP * RP, RP, False), kernels, input_precision=precision) * scale
    to = matrices + ((r // 2 * 2 + part) * (n * e) + line) * (2 * m * e) + (r % 2) * (m * e) + c
    tl.store(to, rows.to(matrices.dtype.element_ty), mask=inside)


@triton.jit
def kernel_gradient(
    leaves, dw, pair, scale,
    m: tl.constexpr, n: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, e: tl.constexpr, BC: tl.constexpr,
    row: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Write ``scale`` times the kernels' gradient of the leaves' gradient ``(R/2, 2, n*e, 2, m*e)``.

    One program per column ``j`` of blocks and chunk of places in the rows of blocks; it sums over every
    ``grid[2]``-th shift ``s`` and writes to a place of its own, ``dw: (grid[2], m, n, b)``. Numbers that a shift moves
    across the end of a row of the ``R x e`` matrix are summed apart. The second table of ``pair: (2, RP, RP)`` moves
    them down by one row.
    """
    j = tl.program_id(0)
    r, c, _, inside = _tile(tl.program_id(1), m * e, R, RP, e, BC)
    leaf, part = r // 2, r % 2
    own, across = tl.zeros((RP, BC), tl.float32), tl.zeros((RP, BC), tl.float32)
    s = tl.program_id(2)
    while s < e:
        wraps = c % e + s >= e
        at = c + s - tl.where(wraps, e, 0)
        # The first leaf is two real ones, with numbers of their own on the diagonal only.
        first = ((leaf * 2 + tl.where(leaf == 0, part, 0)) * (n * e) + j * e + s) * (2 * m * e) + part * (m * e) + at
        second = ((leaf * 2 + 1) * (n * e) + j * e + s) * (2 * m * e) + (1 - part) * (m * e) + at
        value = tl.load(leaves + second, mask=inside & (leaf > 0), other=0.0).to(tl.float32)
        value = tl.load(leaves + first, mask=inside, other=0.0).to(tl.float32) + tl.where(part == 0, value, -value)
        own += tl.where(wraps, 0.0, value)
        across += tl.where(wraps, value, 0.0)
        s += tl.num_programs(2)
    kernels = tl.dot(_matrix(pair, RP, True), own, input_precision=precision)
    kernels += tl.dot(_matrix(pair + RP * RP, RP, True), across, input_precision=precision)
    position = r * e + c % e
    if row:
        position = tl.where(position == 0, 0, R * e - position)
    to = dw + ((tl.program_id(2) * m + c // e) * n + j) * (R * e) + position
    tl.store(to, (kernels * scale).to(dw.dtype.element_ty), mask=inside)
