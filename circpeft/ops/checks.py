"""Argument checks shared by the operators, and a memory of the arguments that have passed."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..suggest import nearest

LAYOUTS = ("column", "row")
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Described(NamedTuple):
    """What a check sees of a tensor."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def dim(self) -> int:
        return len(self.shape)


Operand = Tensor | Described


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


def check_kernel(w: Operand) -> None:
    """Raise ValueError unless ``w`` has shape (m, n, b) with every size at least one."""
    if w.dim() != 3 or min(w.shape) < 1:
        raise ValueError(f"a block kernel needs shape (m, n, b) with every size >= 1, got {tuple(w.shape)}")


def _check_real(**tensors: Operand | None) -> None:
    """Raise TypeError unless every given tensor is real floating point, of 16 bits or more."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dtype not in FLOATS:
            raise TypeError(f"{name} must be real floating point (float64 to bfloat16), got {tensor.dtype}")


def _check_device(x: Operand, **tensors: Operand | None) -> None:
    """Raise ValueError unless every given tensor is on the device of ``x``."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"x is on {x.device} and {name} on {tensor.device}; move them to one device")


@cache
def _remembered(check: Callable[..., Any]) -> Callable[..., Any]:
    """Return a check of descriptions that runs once for each. Errors are not remembered."""

    @lru_cache(maxsize=4096)
    def of_descriptions(descriptions: tuple[Any, ...], layout: str) -> Any:
        return check(*[None if d is None else Described(*d) for d in descriptions], layout)

    return of_descriptions


def checked_once(check: Callable[..., Any], tensors: tuple[Tensor | None, ...], layout: str) -> Any:
    """Return ``check(*tensors, layout)`` for plain tensors. The check runs only if something that it sees is new.

    What a check sees is the shape, dtype and device of each tensor, and the layout. Nothing can change its result
    without changing these, so the result is never outdated. A compiler has to call the check itself.
    """
    return _remembered(check)(tuple([None if t is None else (t.shape, t.dtype, t.device) for t in tensors]), layout)


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


def check_kernel_gradient(g: Tensor, x: Tensor, b: int, layout: str) -> None:
    """Raise ValueError or TypeError unless ``g: (..., m*b)`` and ``x: (..., n*b)`` have a gradient for blocks of b."""
    check_layout(layout)
    _check_real(g=g, x=x)
    sizes = [t.shape[-1] if t.dim() else 0 for t in (g, x)]
    if b < 1 or any(size < 1 or size % b for size in sizes) or g.shape[:-1] != x.shape[:-1]:
        shapes = f"g: {tuple(g.shape)}, x: {tuple(x.shape)}"
        raise ValueError(f"expected g: (..., m*b) and x: (..., n*b) with equal batch shapes, got {shapes} and b={b}")
    _check_device(x, g=g)


def check_diagonals(
    x: Operand, w: Operand, diagonal_in: Operand | None, diagonal_out: Operand | None, base: Operand | None, layout: str
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
        ("diagonal_out", diagonal_out, (d_out,)),
        ("base", base, (*x.shape[:-1], d_out)),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} of shape {tuple(tensor.shape)} does not fit: expected {tuple(shape)}")
    _check_device(x, w=w, diagonal_in=diagonal_in, diagonal_out=diagonal_out, base=base)
    return d_out


def check_adapted(
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    w: Operand,
    diagonal_in: Operand | None,
    diagonal_out: Operand | None,
    layout: str,
    one_dtype: bool,
) -> None:
    """Raise ValueError or TypeError unless the operands of an adapted linear layer fit each other.

    Args:
        one_dtype: all operands must have one dtype; otherwise only input, weight and bias.
    """
    check_kernel(w)
    m, n, b = w.shape
    d_out, d_in = weight.shape if weight.dim() == 2 else (0, 0)
    if not ((m - 1) * b < d_out <= m * b and (n - 1) * b < d_in <= n * b):
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} does not fit w of shape {(m, n, b)}: expected {(m * b, n * b)}"
        )
    if x.dim() < 1 or x.shape[-1] != d_in:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not fit: the last dimension must be {d_in}, as of the weight"
        )
    base = Described(torch.Size([*x.shape[:-1], d_out]), x.dtype, x.device)
    check_diagonals(x, w, diagonal_in, diagonal_out, base, layout)
    if bias is not None and bias.shape != (d_out,):
        raise ValueError(f"bias of shape {tuple(bias.shape)} does not fit: expected {(d_out,)}")
    named = {"x": x, "weight": weight, "bias": bias, "w": w, "diagonal_in": diagonal_in, "diagonal_out": diagonal_out}
    given = {name: t for name, t in named.items() if t is not None}
    alike = given if one_dtype else {name: t for name, t in given.items() if name in ("x", "weight", "bias")}
    if len({t.dtype for t in alike.values()}) > 1 or len({t.device for t in given.values()}) > 1:
        listing = ", ".join(f"{name} {t.dtype} on {t.device}" for name, t in given.items())
        raise ValueError(f"adapted_linear needs one dtype and one device, got {listing}")
