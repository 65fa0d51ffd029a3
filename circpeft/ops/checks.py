"""Argument checks shared by the operators."""

import torch
from torch import Tensor

from ..suggest import nearest

LAYOUTS = ("column", "row")


def opposite(layout: str) -> str:
    """Return the other layout, which is that of the transposed matrix.

    >>> opposite("row")
    'column'
    """
    return LAYOUTS[1 - LAYOUTS.index(layout)]


def check_layout(layout: str) -> None:
    """Raise ValueError unless ``layout`` is "column" or "row"."""
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; {nearest(layout, LAYOUTS)}")


def check_kernel(w: Tensor) -> None:
    """Raise ValueError unless ``w`` has shape (m, n, b) with every size at least one."""
    if w.dim() != 3 or min(w.shape) < 1:
        raise ValueError(f"a block kernel needs shape (m, n, b) with every size >= 1, got {tuple(w.shape)}")


def _check_real(**tensors: Tensor | None) -> None:
    """Raise TypeError unless every given tensor is real floating point."""
    for name, tensor in tensors.items():
        if tensor is not None and not tensor.is_floating_point():
            raise TypeError(f"{name} must be real floating point (float64 to bfloat16), got {tensor.dtype}")


def _check_device(x: Tensor, **tensors: Tensor | None) -> None:
    """Raise ValueError unless every given tensor is on the device of ``x``."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"x is on {x.device} and {name} on {tensor.device}; move them to one device")


def check_product(x: Tensor, w: Tensor, layout: str) -> None:
    """Raise ValueError or TypeError unless ``x: (..., n*b)`` and ``w: (m, n, b)`` can be multiplied."""
    check_layout(layout)
    check_kernel(w)
    _check_real(x=x, w=w)
    m, n, b = w.shape
    if x.dim() < 1 or x.shape[-1] != n * b:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not fit w of shape {(m, n, b)}: "
            f"the last dimension must be n*b = {n}*{b} = {n * b}"
        )
    _check_device(x, w=w)


def check_diagonals(
    x: Tensor, w: Tensor, diagonal_in: Tensor | None, diagonal_out: Tensor | None, base: Tensor | None, layout: str
) -> int:
    """Return the number of outputs; raise ValueError or TypeError if the factors do not fit each other.

    The last block of inputs and that of outputs may be incomplete; padding completes them.
    """
    check_layout(layout)
    check_kernel(w)
    _check_real(x=x, w=w, diagonal_in=diagonal_in, diagonal_out=diagonal_out, base=base)
    m, n, b = w.shape
    if x.dim() < 1 or not (n - 1) * b < x.shape[-1] <= n * b:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not fit w of shape {(m, n, b)}: "
            f"the last dimension must be greater than {(n - 1) * b} and at most n*b = {n * b}"
        )
    sizes = [t.shape[-1:] for t in (diagonal_out, base) if t is not None]
    d_out = sizes[0].numel() if sizes else m * b
    if any(size != sizes[0] for size in sizes) or not (m - 1) * b < d_out <= m * b:
        raise ValueError(
            f"diagonal_out and base of sizes {[tuple(size) for size in sizes]} do not fit w of shape {(m, n, b)}: "
            f"they need one size, greater than {(m - 1) * b} and at most m*b = {m * b}"
        )
    for name, tensor, shape in (
        ("diagonal_in", diagonal_in, x.shape[-1:]),
        ("diagonal_out", diagonal_out, torch.Size([d_out])),
        ("base", base, torch.Size([*x.shape[:-1], d_out])),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} of shape {tuple(tensor.shape)} does not fit: expected {tuple(shape)}")
    _check_device(x, w=w, diagonal_in=diagonal_in, diagonal_out=diagonal_out, base=base)
    return d_out
