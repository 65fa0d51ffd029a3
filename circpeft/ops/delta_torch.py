"""``ΔW`` as a dense matrix, and the gradients that follow from its gradient, in torch (`circpeft.ops.delta`).

Operands have one dtype, float32 or float64. A small matrix on a CPU is one selection by a table of positions, because
calls of torch take longer there than the work that they do. A large one is written from strided views of the kernel.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from .circulant import BUFFER_NUMBERS, add_block_circulant, other_layout
from .transforms import is_plain

# Up to this many entries, a matrix on a CPU is selected by a table. Larger ones are faster from strided views.
TABLE_NUMBERS = 192 * 192


def matrix(
    w: Tensor,
    layout: str,
    scale: float,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    d_out: int,
    d_in: int,
    weight: Tensor | None,
) -> Tensor:
    """Return ``weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)``: ``(d_out, d_in)``, a new tensor."""
    if diagonal_in is None and diagonal_out is None:
        return _circulant(w if scale == 1 else w * scale, layout, d_out, d_in, weight)
    delta = _circulant(w, layout, d_out, d_in, None)
    delta = delta if diagonal_in is None else delta.mul_(diagonal_in)
    delta = delta if diagonal_out is None else delta.mul_(diagonal_out[:, None])
    delta = delta if scale == 1 else delta.mul_(scale)
    return delta if weight is None else delta.add_(weight)


def kernel_gradient(
    gradient: Tensor,
    m: int,
    n: int,
    b: int,
    layout: str,
    scale: float,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
) -> Tensor:
    """Return the gradient for ``w: (m, n, b)`` from that for the matrix; sums have a fixed order."""
    gradient = gradient if diagonal_in is None else gradient * diagonal_in
    gradient = gradient if diagonal_out is None else gradient * diagonal_out[:, None]
    if uses_table(gradient, gradient.numel()):
        places = positions(m, n, b, *gradient.shape, layout).view(-1)
        dw = gradient.new_zeros(m * n * b).scatter_add_(0, places, gradient.reshape(-1)).view(m, n, b)
    else:
        dw = _diagonal_sums(gradient, m, n, b)
        dw = dw if layout == "row" else other_layout(dw)
    return dw if scale == 1 else dw.mul_(scale)


def diagonal_gradients(
    gradient: Tensor, w: Tensor, layout: str, scale: float, diagonal_in: Tensor | None, diagonal_out: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients for both diagonals from that for the matrix; None where there is no diagonal."""
    d_out, d_in = gradient.shape
    products = matrix(w, layout, scale, None, None, d_out, d_in, None).mul_(gradient)
    of_in = None if diagonal_in is None else _weighted_sum(products, diagonal_out)
    of_out = None if diagonal_out is None else _weighted_sum(products.T, diagonal_in)
    return of_in, of_out


def _weighted_sum(rows: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum of the rows, each times its weight."""
    return rows.sum(0) if weights is None else torch.mm(weights[None], rows)[0]


def uses_table(operand: Tensor, numbers: int) -> bool:
    """Return whether a matrix of so many entries is selected by a table. A fake tensor, say, has no use for a table."""
    return numbers <= TABLE_NUMBERS and operand.device.type == "cpu" and is_plain(operand)


@lru_cache(maxsize=64)
def positions(m: int, n: int, b: int, d_out: int, d_in: int, layout: str) -> Tensor:
    """Return where the entries of a matrix ``(d_out, d_in)`` lie in ``w.flatten()``, as a matrix on the CPU.

    >>> positions(1, 1, 3, 3, 3, "row")
    tensor([[0, 1, 2],
            [2, 0, 1],
            [1, 2, 0]])
    """
    rows, columns = np.arange(d_out)[:, None], np.arange(d_in)
    shift = (rows - columns if layout == "column" else columns - rows) % b
    # From numpy, a table that is first needed in inference mode, or under a dispatch mode, is a plain tensor.
    with torch.inference_mode(False):
        return torch.from_numpy(((rows // b) * n + columns // b) * b + shift)


def _circulant(w: Tensor, layout: str, d_out: int, d_in: int, base: Tensor | None) -> Tensor:
    """Return the first rows and columns of the block-circulant matrix, plus a base of the same dtype; a new tensor."""
    m, n, b = w.shape
    if uses_table(w, d_out * d_in):
        matrix = taken(w, positions(m, n, b, d_out, d_in, layout))
        return matrix if base is None else matrix.add_(base)
    if d_out == m * b and d_in == n * b:
        return add_block_circulant(base, w, layout)
    matrix = add_block_circulant(None, w, layout)[:d_out, :d_in]
    return matrix.contiguous() if base is None else base + matrix


# Up to this many entries, one call is faster than three. Selecting a row of numbers is the faster operation for more.
ONE_CALL = 4096


def taken(w: Tensor, places: Tensor) -> Tensor:
    """Return the entries of ``w.flatten()`` at given places, with a gradient.

    >>> taken(torch.tensor([[[10.0, 20.0]]]), positions(1, 1, 2, 2, 2, "row"))
    tensor([[10., 20.],
            [20., 10.]])
    """
    if places.numel() <= ONE_CALL:
        return torch.take(w, places)
    return w.reshape(-1).index_select(0, places.view(-1)).view(places.shape)


def _diagonal_sums(gradient: Tensor, m: int, n: int, b: int) -> Tensor:
    """Return the sums along the diagonals ``column - row = k`` (modulo b) of each block: ``(m*b, n*b) -> (m, n, b)``.

    Every row is written twice without a gap, ``[g, g]``, and row r is read from its r-th number on. This is the
    transpose of `circpeft.ops.circulant.fill_block_circulant`.
    """
    surplus = m * b - gradient.shape[0], n * b - gradient.shape[1]
    if any(surplus):
        gradient = pad(gradient, (0, surplus[1], 0, surplus[0]))
    blocks = gradient.reshape(m, b, n, b)
    total = gradient.new_zeros(m, n, b)
    most = BUFFER_NUMBERS if gradient.device.type == "cpu" else 2 * m * n * b * b  # all at once is faster on a GPU
    rows = min(b, max(1, most // (2 * n * b)))  # rows of a block at a time
    grids = max(1, most // (2 * n * b * b))  # rows of blocks at a time
    for i in range(0, m, grids):
        for r in range(0, b, rows):
            twice = blocks[i : i + grids, r : r + rows].repeat(1, 1, 1, 2)
            count, height = twice.shape[:2]
            strides = (height * n * 2 * b, n * 2 * b + 1, 2 * b, 1)
            total[i : i + grids] += twice.as_strided((count, height, n, b), strides, r).sum(1)
    return total
