"""Values of config fields: converted to plain Python values that JSON can hold, or refused.

A config is saved as JSON, so it can only hold what JSON gives back: None, bools, numbers, strings, lists of them, and
dicts with names as keys. Sets are saved as lists. Scalars of numpy and torch, and collections of other types, are
converted to these.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND

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


def names(field: str, value: Any) -> list[str] | None:
    """Return names as a list, from any collection of strings or from one name. None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        return [_name(field, value)]
    return list(dict.fromkeys(_name(field, name) for name in _items(field, value, "names")))


def name_set_or_regex(field: str, value: Any) -> set[str] | str | None:
    """Return names as a set, one regex as a string, or None."""
    if isinstance(value, str):
        regex: str = plain(value)
        if regex.lower() != INCLUDE_LINEAR_LAYERS_SHORTHAND:
            _check_regex(field, regex)
        return regex
    listed = names(field, value)
    return None if listed is None else set(listed)


def name_list_or_name(field: str, value: Any) -> list[str] | str | None:
    """Return names as a list, one name as a string, or None. Each is a regex."""
    listed = names(field, value)
    for name in listed or ():
        _check_regex(field, name)
    return listed[0] if listed and isinstance(value, str) else listed


def indices(field: str, value: Any) -> list[int] | int | None:
    """Return layer indices as a list, one index as an integer, or None."""
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, (str, Real)):
        return integer(field, value, 0)
    listed = list(dict.fromkeys(integer(field, index, 0) for index in _items(field, value, "layer indices")))
    if not listed:
        raise ValueError(f"{field} is empty, so it names no layer; leave it at None to adapt all layers")
    return sorted(listed) if isinstance(value, (set, frozenset)) else listed


def token_indices(field: str, value: Any) -> list[int] | dict[str, list[int]] | None:
    """Return rows of an embedding as a list, or such lists by the name of the layer, or None."""
    if isinstance(value, Mapping) and value:
        return {_name(f"key of {field}", key): _rows(f"{field}[{key!r}]", rows) for key, rows in value.items()}
    return None if value is None else _rows(field, value)


def _rows(field: str, value: Any) -> list[int]:
    rows = list(dict.fromkeys(integer(field, row, 0) for row in _items(field, value, "rows of an embedding")))
    if not rows:
        raise ValueError(f"{field} is empty, so it names no row; leave it at None to train no rows")
    return rows


def pattern(convert: Callable[[str, Any], Any]) -> Callable[[str, Any], dict[str, Any]]:
    """Return the conversion of a dict of layer names (each the end of a name, or a regex) with values of one kind."""

    def convert_all(field: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise ValueError(f"{field} must be a dict of layer name -> value, got {value!r}")
        result = {}
        for key, item in value.items():
            name = _name(f"key of {field}", key)
            _check_regex(f"{field} key", name)
            result[name] = convert(f"{field}[{name!r}]", item)
        return result

    return convert_all


def _items(field: str, value: Any, what: str) -> Iterable[Any]:
    if isinstance(value, (bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise ValueError(f"{field} must be a list of {what}, got {value!r}")
    return value


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} must hold names (strings), got {value!r}")
    return str(plain(value))


def _check_regex(field: str, value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{field}={value!r} is not a valid regex: {error}") from error


# The conversion of each field.
CONVERSIONS: dict[str, Callable[[str, Any], Any]] = {
    "block_size": block_size,
    "block_size_pattern": pattern(block_size),
    "alpha": scale,
    "alpha_pattern": pattern(scale),
    "dropout": probability,
    "init_weights": start,
    "target_modules": name_set_or_regex,
    "exclude_modules": name_set_or_regex,
    "target_parameters": names,
    "layers_to_transform": indices,
    "layers_pattern": name_list_or_name,
    "modules_to_save": names,
    "trainable_token_indices": token_indices,
    "bias": text,
    "layout": text,
    "num_factors": num_factors,
    "inference_mode": boolean,
    "base_model_name_or_path": path_text,
    "revision": path_text,
}


def converted(field: str, value: Any) -> Any:
    """Return the value of a field as JSON can hold it.

    Raises: ValueError that names the field and the value.

    >>> converted("target_modules", ("query",)), converted("layers_to_transform", range(3))
    ({'query'}, [0, 1, 2])
    >>> converted("alpha", "2")
    Traceback (most recent call last):
    ...
    ValueError: alpha must be a finite number, 'lora' or 'paper', got '2'; remove the quotes: alpha=2
    """
    return CONVERSIONS[field](field, value) if field in CONVERSIONS else value


def check_saveable(values: Mapping[str, Any]) -> None:
    """Check that JSON gives back the values of a config.

    Raises: ValueError that names the field and the value.
    """
    for field, value in values.items():
        value = sorted(value) if isinstance(value, set) else value
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ValueError(f"{field} must be a value that JSON can hold, got {value!r}")
