"""Collections in config fields: names, regexes, indices and patterns, converted to plain lists and dicts or refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND

from .config_scalars import integer, plain


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
