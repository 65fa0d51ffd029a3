"""Single values of config fields: numbers, bools and texts, converted to plain Python values or refused."""

from __future__ import annotations

import math
import os
import re
from numbers import Integral, Real
from typing import Any

from .. import limits
from ..ops.scale import NUMBER, SCALES, wrong_scale

LARGEST = 2**31 - 1  # of an integer: sizes and indices beyond it do not fit into torch's indices everywhere


def plain(value: Any) -> Any:
    """Return a scalar of numpy, pandas or torch as the Python value that it holds, and any other value unchanged.

    >>> import torch
    >>> plain(torch.tensor(2.0)), plain("a"), plain([1])
    (2.0, 'a', [1])
    """
    if isinstance(value, str):
        return str.__str__(value)  # also for subclasses, such as numpy's strings and members of an enum
    if isinstance(value, (bool, int, float)):
        return value if type(value) in (bool, int, float) else _builtin(value)
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def _builtin(value: Any) -> Any:
    return next(kind(value) for kind in (bool, int, float) if isinstance(value, kind))


def integer(field: str, value: Any, least: int) -> int:
    """Return an integer from ``least`` to `LARGEST`; raise ValueError for anything else, also for bools and "8"."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
        raise _error(field, f"an integer of at least {least}", value)
    return _at_most_largest(field, int(number))


def _at_most_largest(field: str, number: int) -> int:
    if number > LARGEST:
        raise ValueError(f"{field} must be at most {LARGEST}, got {str(number)[:40]}")
    return number


def num_factors(field: str, value: Any) -> int:
    """Return a number of factors of at most `limits.FACTORS`; raise ValueError for anything else."""
    number = integer(field, value, 1)
    limits.FACTORS.check(field, number)
    return number


def block_size(field: str, value: Any) -> int | str:
    """Return a block size: "auto", or a positive integer. Raise ValueError for anything else."""
    size = plain(value)
    if isinstance(size, str) and size == "auto":
        return "auto"
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise _error(field, 'a positive integer or "auto"', value)
    return _at_most_largest(field, int(size))


def number(field: str, value: Any) -> float:
    """Return a finite number; raise ValueError for anything else, also for bools and "0.1"."""
    given = plain(value)
    if not _is_finite(given):
        raise _error(field, "a finite number", value)
    return given if isinstance(given, (int, float)) else float(given)


def _is_finite(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def scale(field: str, value: Any) -> float | str:
    """Return a finite number, or the name of a scale; raise ValueError for anything else."""
    given = plain(value)
    if isinstance(given, str) and given in SCALES:
        return given
    if _is_finite(given):
        return given if isinstance(given, (int, float)) else float(given)
    raise ValueError(wrong_scale(field, value))


def _error(field: str, expected: str, value: Any) -> ValueError:
    """Return the error for a value that is not the number that a field needs."""
    is_quoted = isinstance(value, str) and re.fullmatch(NUMBER, value.strip())
    hint = f"; remove the quotes: {field}={value}" if is_quoted else ""
    return ValueError(f"{field} must be {expected}, got {value!r}{hint}")


def probability(field: str, value: Any) -> float:
    """Return a dropout probability in [0, 1); raise ValueError for anything else."""
    given = number(field, value)
    if not 0 <= given < 1:
        raise ValueError(f"{field} must be in [0, 1), got {value!r}")
    return given


def boolean(field: str, value: Any) -> bool:
    """Return True or False; raise ValueError for anything else, also for 1 and "True"."""
    given = plain(value)
    if not isinstance(given, bool):
        raise ValueError(f"{field} must be True or False, got {value!r}")
    return given


def start(field: str, value: Any) -> bool | str:
    """Return a name or a bool for ``init_weights``; the adapter checks the name."""
    given = plain(value)
    if not isinstance(given, (bool, str)):
        raise ValueError(f'{field} must be True or False or a name such as "zero", got {value!r}')
    if given in ("True", "False"):
        raise ValueError(f"{field} must be True or False without quotes, got {value!r}")
    return given


def text(field: str, value: Any) -> str:
    """Return a string; raise ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"{field} must be a string, got {value!r}")
    return str(plain(value))


def path_text(field: str, value: Any) -> str | None:
    """Return a string or a path as a string, or None."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{field} must be a string or a path, got {value!r}")
    return None if value is None else plain(os.fspath(value))
