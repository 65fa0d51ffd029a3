"""Dense circulant and block-circulant matrices, built by indexing."""

import torch
from torch import Tensor

from . import delta_triton
from .checks import check_kernel, check_layout
from .transforms import is_transformed


def circulant(c: Tensor, layout: str = "column") -> Tensor:
    """Return the circulant matrix of a kernel.

    Formula: with ``layout="column"`` the kernel is the first column, ``C[i, j] = c[(i - j) mod b]`` (CDVFT Eq. 2).
    With ``layout="row"`` it is the first row, ``C[i, j] = c[(j - i) mod b]`` (C3A section 3.2). The two are transposes
    of each other.

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
    """Return the block-circulant matrix of an ``m`` by ``n`` grid of kernels.

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
    if is_recorded(w):
        return circulant(w, layout).transpose(1, 2).reshape(m * b, n * b)
    return add_block_circulant(None, w, layout)


def is_recorded(*tensors: Tensor) -> bool:
    """Return whether a function of the tensors must be differentiable by torch, or visible to a compiler.

    >>> is_recorded(torch.ones(2)), is_recorded(torch.ones(2, requires_grad=True))
    (False, True)
    """
    if torch.compiler.is_compiling() or is_transformed() or any(t.is_meta for t in tensors):
        return True
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


# Size of the buffer that rows are copied from, in numbers: it should stay in the processor's cache.
BUFFER_NUMBERS = 256 * 1024


def add_block_circulant(base: Tensor | None, w: Tensor, layout: str) -> Tensor:
    """Return ``base + block_circulant(w, layout)`` as a new matrix without a gradient; the base may be None.

    Shapes: ``base: (m*b, n*b)``, ``w: (m, n, b)`` -> ``(m*b, n*b)``.

    >>> add_block_circulant(torch.eye(2), torch.tensor([[[1.0, 2.0]]]), "row")
    tensor([[2., 2.],
            [2., 2.]])
    """
    m, n, b = w.shape
    if delta_triton.have_kernels(w, base):
        out = delta_triton.matrix(w, layout, 1.0, None, None, m * b, n * b, base, w.dtype)
        if out is not None:
            return out
    out = w.new_empty(m * b, n * b)
    fill_block_circulant(out, base, row_kernel(w, layout), slice(0, b), slice(0, b))
    return out


def row_kernel(w: Tensor, layout: str) -> Tensor:
    """Return the kernel in the row layout, without a gradient."""
    return w.detach() if layout == "row" else other_layout(w.detach())


def fill_block_circulant(out: Tensor, base: Tensor | None, w: Tensor, rows: slice, columns: slice) -> None:
    """Write a part of ``base + block_circulant(w, "row")`` into ``out``: the same rows and columns of every block.

    The matrix is written once, from strided views, and no index is built. The kernel is repeated without a gap in a
    buffer; reading rows whose starts are one less than the period apart gives a Toeplitz matrix.

    Shapes: ``w: (m, n, b)``, ``base: (m*b, n*b)`` or None, ``out: (m*r, n*c)``, contiguous, for r rows and c columns.
    """
    (m, n, b), c = w.shape, columns.stop - columns.start
    out = out.view(m, rows.stop - rows.start, n, c)
    base_blocks = None if base is None else base.detach().reshape(m, b, n, b)
    step = min(rows.stop - rows.start, max(1, BUFFER_NUMBERS // (n * b)))  # rows of a block at a time
    all_rows = step == rows.stop - rows.start
    blocks = max(1, BUFFER_NUMBERS // (n * b * (step + 1))) if all_rows else 1  # rows of blocks at a time
    period = min(b, step + c - 1)  # a few columns need only a part of the kernel
    strides = (n * (step + 1) * period, period - 1, (step + 1) * period, 1)
    for i in range(0, m, blocks):
        kernels = w[i : i + blocks]
        buffer = kernels.repeat(1, 1, step + 1) if period == b else kernels  # a shorter period is repeated below
        for r in range(rows.start, rows.stop, step):
            end = min(r + step, rows.stop)
            first = (b - r) % b + columns.start
            if period < b:
                first, shift = step - 1, first - step + 1
                buffer = kernels.roll(-shift, -1)[..., :period].repeat(1, 1, step + 1)
            band = out[i : i + blocks, r - rows.start : end - rows.start]
            view = buffer.as_strided(band.shape, strides, first)
            if base_blocks is None:
                band.copy_(view)
            else:
                torch.add(base_blocks[i : i + blocks, r:end, :, columns], view, out=band)


def other_layout(w: Tensor) -> Tensor:
    """Return the kernel of the same circulant matrix in the other layout: first column to first row, or back.

    Formula: ``w'[k] = w[-k mod b]``, which is its own inverse.

    Shapes: ``w: (..., b) -> (..., b)``; differentiable.

    >>> w = torch.tensor([1, 2, 3])
    >>> torch.equal(circulant(other_layout(w), layout="row"), circulant(w, layout="column"))
    True
    """
    return w.flip(-1).roll(1, -1)
