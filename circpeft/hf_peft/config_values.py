"""Values of config fields: converted to plain Python values that JSON can hold, or refused.

A config is saved as JSON, so it can only hold what JSON gives back: None, bools, numbers, strings, lists of them, and
dicts with names as keys. Sets are saved as lists. Scalars of numpy and torch, and collections of other types, are
converted to these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .config_collections import indices, name_list_or_name, name_set_or_regex, names, pattern, token_indices
from .config_scalars import block_size, boolean, num_factors, path_text, probability, scale, start, text

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
