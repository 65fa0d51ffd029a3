"""Dense circulant and block-circulant matrices, built by indexing."""

import torch
from torch import Tensor

from .checks import check_kernel, check_layout


def circulant(c: Tensor, layout: str = "column") -> Tensor:
    """Circulant matrix of a kernel.

    Formula: ``layout="column"``: the kernel is the first column, ``C[i, j] = c[(i - j) mod b]`` (CDVFT Eq. 2).
    ``layout="row"``: the kernel is the first row, ``C[i, j] = c[(j - i) mod b]`` (C3A section 3.2).
    The two are transposes of each other.

    Shapes: ``c: (..., b) -> (..., b, b)``, same dtype and device; differentiable.

    Raises: ValueError for an unknown layout or a kernel without a last dimension of at least one element.

    >>> circulant(torch.tensor([1, 2, 3]))
    tensor([[1, 3, 2],
            [2, 1, 3],
            [3, 2, 1]])
    >>> circulant(torch.tensor([1, 2, 3]), layout="row")
    tensor([[1, 2, 3],
            [3, 1, 2],
            [2, 3, 1]])
    """
    check_layout(layout)
    if c.dim() < 1 or c.shape[-1] < 1:
        raise ValueError(f"a kernel needs shape (..., b) with b >= 1, got {tuple(c.shape)}")
    b = c.shape[-1]
    i = torch.arange(b, device=c.device)
    shift = i[:, None] - i[None, :] if layout == "column" else i[None, :] - i[:, None]
    return c[..., shift % b]


def block_circulant(w: Tensor, layout: str = "column") -> Tensor:
    """Block-circulant matrix of an ``m`` by ``n`` grid of kernels.

    Formula: block ``(i, j)`` is ``circulant(w[i, j], layout)`` (C3A section 3.4, CDVFT Eq. 12).

    Shapes: ``w: (m, n, b) -> (m*b, n*b)``, same dtype and device; differentiable.

    Raises: ValueError for an unknown layout or a kernel that is not three-dimensional.

    >>> block_circulant(torch.tensor([[[1, 2], [3, 4]]]))
    tensor([[1, 2, 3, 4],
            [2, 1, 4, 3]])
    """
    check_layout(layout)
    check_kernel(w)
    m, n, b = w.shape
    if w.is_meta or torch.compiler.is_compiling() or (torch.is_grad_enabled() and w.requires_grad):
        return circulant(w, layout).transpose(1, 2).reshape(m * b, n * b)
    return add_block_circulant(None, w, layout)


# Numbers of the buffer that rows are copied from: it should stay in the processor's cache.
BUFFER_NUMBERS = 256 * 1024


def add_block_circulant(base: Tensor | None, w: Tensor, layout: str) -> Tensor:
    """``base + block_circulant(w, layout)`` as a new matrix, without a gradient; without a base the matrix alone.

    Rows are read from views, so that the matrix is written once and no index is built: a kernel repeated without a gap,
    read in rows that start ``b - 1`` apart, is its circulant matrix.

    Shapes: ``base: (m*b, n*b)``, ``w: (m, n, b)`` -> ``(m*b, n*b)``.

    >>> add_block_circulant(torch.eye(2), torch.tensor([[[1.0, 2.0]]]), "row")
    tensor([[2., 2.],
            [2., 2.]])
    """
    w = w.detach() if layout == "row" else other_layout(w.detach())
    m, n, b = w.shape
    out = w.new_empty(m, b, n, b)
    under = None if base is None else base.detach().reshape(m, b, n, b)
    rows = min(b, max(1, BUFFER_NUMBERS // (n * b)))  # of a block at a time
    blocks = max(1, BUFFER_NUMBERS // (n * b * (b + 1))) if rows == b else 1  # rows of blocks at a time
    period = (rows + 1) * b
    strides = (n * period, b - 1, period, 1)
    for i in range(0, m, blocks):
        buffer = w[i : i + blocks].repeat(1, 1, rows + 1)
        for r in range(0, b, rows):
            band = out[i : i + blocks, r : r + rows]
            view = buffer.as_strided(band.shape, strides, (b - r) % b)
            band.copy_(view) if under is None else torch.add(under[i : i + blocks, r : r + rows], view, out=band)
    return out.view(m * b, n * b)


def other_layout(w: Tensor) -> Tensor:
    """Kernel of the same circulant matrix in the other layout: the first row where the first column is given.

    Formula: ``w'[k] = w[-k mod b]``, its own inverse.

    Shapes: ``w: (..., b) -> (..., b)``; differentiable.

    >>> w = torch.tensor([1, 2, 3])
    >>> torch.equal(circulant(other_layout(w), layout="row"), circulant(w, layout="column"))
    True
    """
    return w.flip(-1).roll(1, -1)
