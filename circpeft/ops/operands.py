"""Bring the operands of a product into one form: their dtype, a batch as a matrix, and padding."""

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor
from torch.nn.functional import pad


@overload
def in_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor: ...
@overload
def in_dtype(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None: ...
def in_dtype(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a tensor in a dtype; None stays None."""
    return tensor if tensor is None or tensor.dtype == dtype else tensor.to(dtype)


def factors_in_dtype(
    dtype: torch.dtype, w: Tensor, diagonal_in: Tensor | None, diagonal_out: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the kernel and the diagonals in a dtype and without gaps in memory, as backends take them."""
    first, last = in_dtype(diagonal_in, dtype), in_dtype(diagonal_out, dtype)
    return (
        in_dtype(w, dtype).contiguous(),
        first if first is None else first.contiguous(),
        last if last is None else last.contiguous(),
    )


def in_dtypes_of(tensors: Sequence[Tensor | None], gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the gradient of each tensor in its dtype; None for the gradient of None."""
    return [None if t is None else in_dtype(gradient, t.dtype) for t, gradient in zip(tensors, gradients, strict=True)]


def as_rows(t: Tensor) -> Tensor:
    """Return a batch of vectors as a matrix."""
    return t if t.dim() == 2 else t.reshape(-1, t.shape[-1])


def without_gaps(rows: Tensor) -> Tensor:
    """Return a matrix in whose rows neighbours are neighbours in memory."""
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def padded(rows: Tensor, width: int) -> Tensor:
    """Return rows padded with zeros to a width."""
    surplus = width - rows.shape[-1]
    return pad(rows, (0, surplus)) if surplus else rows


def cut(rows: Tensor, width: int) -> Tensor:
    """Return the first ``width`` entries of each row."""
    return rows if rows.shape[-1] == width else rows[..., :width]
