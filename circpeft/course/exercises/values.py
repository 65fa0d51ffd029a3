"""Compare one value of an answer with the expected one, and say where they differ."""

import math
import sys
from numbers import Rational
from typing import Any

import numpy as np
import torch

LARGEST = sys.float_info.max


def difference(got: Any, want: Any, tolerance: float) -> str:
    """Return what is wrong with one value of an answer, or "" if it is right.

    Args:
        got: the value that the learner's function returned.
        want: the expected value: a tensor, a number, a truth value, or anything that `==` compares.
        tolerance: as in `Exercise`. The error of a number is relative, because the number may be small.

    >>> difference(3, 4, 1e-9)
    'returned 3, expected 4; they differ by 1'
    """
    if isinstance(want, torch.Tensor):
        return _tensor_difference(got, want, tolerance)
    got = python_number(got)
    if isinstance(want, bool):
        expected = "True or False"
        right = isinstance(got, bool)
    elif isinstance(want, int):
        expected, right = "an int", type(got) is int
    elif isinstance(want, float):
        expected, right = "a number", isinstance(got, int | float) and not isinstance(got, bool)
    else:
        expected, right = f"a {type(want).__name__}", type(got) is type(want)
    if not right:
        return f"returned {shown(got)} ({type(got).__name__}), expected {expected}"
    if isinstance(want, float):
        if is_huge(got):
            return f"returned a number of more than 300 digits, expected {want:.6g}"
        return _float_difference(got, want, tolerance)
    if got == want:
        return ""
    distance = f"; they differ by {shown(abs(got - want))}" if type(want) is int else ""
    return f"returned {shown(got)}, expected {shown(want)}{distance}"


def same(a: Any, b: Any) -> bool:
    """Return True if two answers have equal structure, shapes and dtypes, and values that are equal up to rounding."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if (a.shape, a.dtype, a.layout, a.device) != (b.shape, b.dtype, b.layout, b.device):
            return False
        if a.layout != torch.strided:
            return False
        a, b = a.detach(), b.detach()
        if a.dtype == torch.bool:
            return torch.equal(a, b)
        finite = b[torch.isfinite(b)].abs()
        size = float(finite.max()) if finite.numel() else 1.0
        return torch.allclose(a, b, rtol=1e-8, atol=1e-9 * size, equal_nan=True)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    a, b = python_number(a), python_number(b)
    if isinstance(a, float) or isinstance(b, float):
        if is_huge(a) or is_huge(b):
            return False
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b))
        return numbers and (math.isclose(a, b, rel_tol=1e-8) or (a != a and b != b))
    return type(a) is type(b) and a == b


def python_number(value: Any) -> Any:
    """Return a zero-dimensional tensor or NumPy number as a Python number, and anything else unchanged."""
    return value.item() if isinstance(value, torch.Tensor | np.ndarray | np.generic) and value.shape == () else value


def is_huge(value: Any) -> bool:
    """Return whether a value is an integer or a fraction beyond the range of floating-point numbers."""
    number: Any = value if isinstance(value, Rational) else 0  # typeshed compares no Rational with a float
    return not -LARGEST <= number <= LARGEST


def shown(value: Any) -> str:
    """Return a value for a message, cut off after 60 characters."""
    if isinstance(value, int) and is_huge(value):  # Python writes no integers of more than 4300 digits
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _tensor_difference(got: Any, want: torch.Tensor, tolerance: float) -> str:
    if not isinstance(got, torch.Tensor):
        return f"returned a {type(got).__name__}, expected a torch.Tensor of shape {tuple(want.shape)}"
    if got.shape != want.shape:
        return f"returned shape {tuple(got.shape)}, expected {tuple(want.shape)}"
    if got.dtype != want.dtype:
        advice = ": take the real part, or use irfft" if got.is_complex() and not want.is_complex() else ""
        return f"returned dtype {got.dtype}, expected {want.dtype}{advice}"
    if (got.layout, got.device) != (want.layout, want.device):
        return f"returned a tensor with {got.layout} on {got.device}, expected {want.layout} on {want.device}"
    if want.dtype == torch.bool:
        return "" if torch.equal(got, want) else f"{int((got != want).sum())} of {want.numel()} truth values differ"
    got = got.detach()
    if not torch.isfinite(got).all():
        bad = "nan (not a number)" if torch.isnan(got).any() else "inf"
        return f"returned values that are not finite ({bad}): is something divided by zero?"
    if not want.numel():
        return ""
    apart = (got - want).abs()
    largest = float(apart.max())
    if largest <= tolerance * max(1.0, float(want.abs().max())):
        return ""
    index = tuple(int(i) for i in torch.unravel_index(apart.argmax(), want.shape))
    position = f", at [{', '.join(map(str, index))}]" if index else ""
    return f"the largest difference is {largest:.3g}{position}: yours {got[index]:.4g}, expected {want[index]:.4g}."


def _float_difference(got: float, want: float, tolerance: float) -> str:
    if math.isnan(got):
        return f"returned nan (not a number), expected {want:.6g}: is something divided by zero?"
    if math.isclose(got, want, rel_tol=tolerance, abs_tol=0.0 if want else tolerance):
        return ""
    factor = f"; yours is {got / want:.4g} times as large" if want else ""
    if want and math.isclose(got, -want, rel_tol=tolerance):
        factor = "; yours has the other sign"
    return f"returned {got:.6g}, expected {want:.6g}{factor}"
