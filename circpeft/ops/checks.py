"""Argument checks shared by the operators, and the one helper behind every "nearest valid choice"."""

from collections.abc import Iterable
from difflib import get_close_matches

from torch import Tensor

LAYOUTS = ("column", "row")


def nearest(value: object, choices: Iterable[str]) -> str:
    """Sentence part that names the choices, and the nearest one to a mistyped value.

    >>> nearest("colum", ["column", "row"])
    "did you mean 'column'? (choices: column, row)"
    """
    names = [str(choice) for choice in choices]
    close = get_close_matches(str(value), names, n=1, cutoff=0.6)
    listing = f"choices: {', '.join(names) if names else 'none'}"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing


def check_layout(layout: str) -> None:
    """Raise ValueError unless ``layout`` is "column" or "row"."""
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; {nearest(layout, LAYOUTS)}")


def check_kernel(w: Tensor) -> None:
    """Raise ValueError unless ``w`` has shape (m, n, b) with every size at least one."""
    if w.dim() != 3 or min(w.shape) < 1:
        raise ValueError(f"a block kernel needs shape (m, n, b) with every size >= 1, got {tuple(w.shape)}")


def check_product(x: Tensor, w: Tensor, layout: str) -> None:
    """Raise before any work where ``x`` (..., n*b) and ``w`` (m, n, b) cannot be multiplied."""
    check_layout(layout)
    check_kernel(w)
    for name, tensor in (("x", x), ("w", w)):
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be real floating point (float64 to bfloat16), got {tensor.dtype}")
    m, n, b = w.shape
    if x.dim() < 1 or x.shape[-1] != n * b:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not fit w of shape {(m, n, b)}: "
            f"the last dimension must be n*b = {n}*{b} = {n * b}"
        )
    if x.device != w.device:
        raise ValueError(f"x is on {x.device} and w on {w.device}; move them to one device")
