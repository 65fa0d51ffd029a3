"""The change ``ΔW`` as a dense matrix, and the transpose of that: a kernel's gradient from the gradient of ``ΔW``.

Both are without autograd. A small matrix is one selection by a table of positions, because calls of torch take longer
there than the work that they do. A large one is written from strided views of the kernel.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .circulant import BUFFER_NUMBERS, add_block_circulant, other_layout
from .precision import compute_dtype

# Up to this many entries, a matrix on a CPU is selected by a table. Larger ones are faster from strided views.
TABLE_NUMBERS = 192 * 192


def delta_weight(
    w: Tensor,
    layout: str,
    scale: float = 1.0,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
    d_out: int | None = None,
    d_in: int | None = None,
    dtype: torch.dtype | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Return ``weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)`` as a new matrix, without a gradient.

    Formula: ``C(w) = block_circulant(w, layout)``, of which the first ``d_out`` rows and ``d_in`` columns are kept.

    Shapes: ``w: (m, n, b)``, ``diagonal_in: (d_in,)``, ``diagonal_out: (d_out,)``, ``weight: (d_out, d_in)`` ->
    ``(d_out, d_in)``. The sizes default to those of the block-circulant matrix. Computed in the widest dtype of the
    arguments, float32 at least; returned in ``dtype``, by default that of the weight, or of ``w`` without a weight.

    >>> delta_weight(torch.tensor([[[1.0, 2.0]]]), "row", 10.0, weight=torch.eye(2))
    tensor([[11., 20.],
            [20., 11.]])
    """
    m, n, b = w.shape
    d_out, d_in = m * b if d_out is None else d_out, n * b if d_in is None else d_in
    if dtype is None:
        dtype = w.dtype if weight is None else weight.dtype
    w, diagonal_in, diagonal_out, weight = _computable(w, diagonal_in, diagonal_out, weight)
    w = w if scale == 1 else w * scale
    if diagonal_in is None and diagonal_out is None:
        delta = _matrix(w, layout, d_out, d_in, weight)
    else:
        delta = _matrix(w, layout, d_out, d_in, None)
        delta = delta if diagonal_in is None else delta.mul_(diagonal_in)
        delta = delta if diagonal_out is None else delta.mul_(diagonal_out[:, None])
        delta = delta if weight is None else delta.add_(weight)
    return delta if delta.dtype == dtype else delta.to(dtype)


def kernel_from_delta(
    gradient: Tensor,
    m: int,
    n: int,
    b: int,
    layout: str,
    scale: float = 1.0,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
) -> Tensor:
    """Return the gradient for ``w`` from the gradient for `delta_weight`, of which this is the transpose.

    Formula, in the column layout: ``dw[i, j, k]`` is the sum of ``scale * diag(diagonal_out) G diag(diagonal_in)``
    along the diagonal ``row - column = k`` (modulo b) of block ``(i, j)``; in the row layout, ``column - row = k``.

    Shapes: ``gradient: (d_out, d_in)`` with ``d_out <= m*b`` and ``d_in <= n*b`` -> ``(m, n, b)``, in the widest dtype
    of the arguments, float32 at least. Sums have a fixed order: deterministic.

    >>> kernel_from_delta(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 1, 2, "row")
    tensor([[[5., 5.]]])
    """
    gradient, diagonal_in, diagonal_out = _computable(gradient, diagonal_in, diagonal_out)
    gradient = gradient if diagonal_in is None else gradient * diagonal_in
    gradient = gradient if diagonal_out is None else gradient * diagonal_out[:, None]
    if uses_table(gradient.device, gradient.numel()):
        positions = _positions(m, n, b, *gradient.shape, layout)
        dw = gradient.new_zeros(m * n * b).scatter_add_(0, positions, gradient.reshape(-1)).view(m, n, b)
    else:
        dw = _diagonal_sums(gradient, m, n, b)
        dw = dw if layout == "row" else other_layout(dw)
    return dw if scale == 1 else dw.mul_(scale)


def _computable(*tensors: Tensor | None) -> list[Tensor | None]:
    """Return the tensors without a gradient, in the widest dtype of all, float32 at least."""
    dtype = compute_dtype(*(t.dtype for t in tensors if t is not None))
    recorded = torch.is_grad_enabled()
    return [
        t if t is None else (t.detach() if recorded else t) if t.dtype == dtype else t.detach().to(dtype)
        for t in tensors
    ]


def uses_table(device: torch.device, numbers: int) -> bool:
    """Return whether a matrix of so many entries is selected by a table."""
    return numbers <= TABLE_NUMBERS and device.type == "cpu"


@lru_cache(maxsize=64)
def _positions(m: int, n: int, b: int, d_out: int, d_in: int, layout: str) -> Tensor:
    """Return where the entries of a matrix ``(d_out, d_in)`` lie in ``w.flatten()``, row by row, on the CPU."""
    rows, columns = np.arange(d_out)[:, None], np.arange(d_in)
    shift = (rows - columns if layout == "column" else columns - rows) % b
    # From numpy, a table that is first needed in inference mode, or under a dispatch mode, is a plain tensor.
    with torch.inference_mode(False):
        return torch.from_numpy((((rows // b) * n + columns // b) * b + shift).ravel())


def _matrix(w: Tensor, layout: str, d_out: int, d_in: int, base: Tensor | None) -> Tensor:
    """Return the first rows and columns of the block-circulant matrix, plus a base of the same dtype; a new tensor."""
    m, n, b = w.shape
    if uses_table(w.device, d_out * d_in):
        matrix = w.reshape(-1).index_select(0, _positions(m, n, b, d_out, d_in, layout)).view(d_out, d_in)
        return matrix if base is None else matrix.add_(base)
    if d_out == m * b and d_in == n * b:
        return add_block_circulant(base, w, layout)
    matrix = add_block_circulant(None, w, layout)[:d_out, :d_in]
    return matrix.contiguous() if base is None else base + matrix


def _diagonal_sums(gradient: Tensor, m: int, n: int, b: int) -> Tensor:
    """Return the sums along the diagonals ``column - row = k`` (modulo b) of each block: ``(m*b, n*b) -> (m, n, b)``.

    Every row is written twice without a gap, ``[g, g]``, and row r is read from its r-th number on. This is the
    transpose of `circpeft.ops.circulant.fill_block_circulant`.
    """
    surplus = m * b - gradient.shape[0], n * b - gradient.shape[1]
    if any(surplus):
        gradient = torch.nn.functional.pad(gradient, (0, surplus[1], 0, surplus[0]))
    blocks = gradient.reshape(m, b, n, b)
    total = gradient.new_zeros(m, n, b)
    rows = min(b, max(1, BUFFER_NUMBERS // (2 * n * b)))  # rows of a block at a time
    grids = max(1, BUFFER_NUMBERS // (2 * n * b * b))  # rows of blocks at a time
    for i in range(0, m, grids):
        for r in range(0, b, rows):
            twice = blocks[i : i + grids, r : r + rows].repeat(1, 1, 1, 2)
            count, height = twice.shape[:2]
            strides = (height * n * 2 * b, n * 2 * b + 1, 2 * b, 1)
            total[i : i + grids] += twice.as_strided((count, height, n, b), strides, r).sum(1)
    return total
