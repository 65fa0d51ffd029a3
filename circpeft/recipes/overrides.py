"""Overrides: hyperparameters and settings of single rows of a plan, other than those that the plan gives them.

An override is a dictionary by row, and in it by name. A list of values is a grid: a sweep tries every combination of a
row's lists with the first seed, takes the best on validation for each column, and runs the other seeds with it::

    {"LoRA": {"alpha": 16, "learning_rate": [3e-4, 1e-3]}, "all": {"epochs": 5}}

The row "all" stands for every row; what a row has of its own goes before it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from .. import limits
from ..method_specs import get_spec
from ..suggest import nearest
from .checks import RATES
from .recipe import Recipe

ALL = "all"
Overrides = Mapping[str, Mapping[str, Any]]
# A list is one value of these settings, not a grid.
LISTS = ("target_modules", "target_parameters")
NOT_SETTINGS = {"task", "method", "hyperparameters", "seed", "output_dir", "data_dir", *RATES}
SETTINGS = [f.name for f in fields(Recipe) if f.name not in NOT_SETTINGS]


@dataclass(frozen=True)
class Variant:
    """One combination of the values of a row.

    Args:
        hyperparameters: those of the method, and its learning rates.
        settings: fields of `Recipe`.
        values: the values that come from a grid, by name.
    """

    hyperparameters: dict[str, Any]
    settings: dict[str, Any]
    values: dict[str, Any]


def check_overrides(overrides: Overrides, methods: Mapping[str, Iterable[str]]) -> None:
    """Raise ValueError for an override that no run could have.

    Args:
        overrides: the overrides.
        methods: the methods of each row of the plan.

    >>> check_overrides({"LoRA": {"aplha": 8}}, {"LoRA": ["lora"]})
    Traceback (most recent call last):
    ...
    ValueError: row 'LoRA': 'aplha' is neither a hyperparameter of 'lora' nor a setting; did you mean 'alpha'? ...
    """
    for row, given in overrides.items():
        if row != ALL and row not in methods:
            raise ValueError(f"an override is for the unknown row {row!r}; {nearest(row, [*methods, ALL])}")
        if not isinstance(given, Mapping):
            raise ValueError(f"the override of row {row!r} must be names with their values, got {given!r}")
        used = {method for name, of_row in methods.items() if row in (ALL, name) for method in of_row}
        for name, value in given.items():
            for method in sorted(used):
                known = [*_hyperparameters(method), *SETTINGS]
                if name not in known:
                    raise ValueError(
                        f"row {row!r}: {name!r} is neither a hyperparameter of {method!r} nor a setting; "
                        f"{nearest(name, known)}"
                    )
            if is_grid(name, value):
                _check_grid(row, name, value)


def _check_grid(row: str, name: str, values: list | tuple) -> None:
    if not values:
        raise ValueError(f"row {row!r}: {name} has an empty list of values; give one or more")
    limits.RUNS.check(f"row {row!r}: the grid of {name}", len(values))
    repeated = [value for value in values if list(values).count(value) > 1]
    if repeated:
        raise ValueError(f"row {row!r}: {name} has {repeated[0]!r} twice; give each value once")


def _hyperparameters(method: str) -> list[str]:
    """Return the hyperparameters of a method, with its learning rates. This imports PEFT."""
    names = list(inspect.signature(get_spec(method).implementation).parameters)
    return [name for name in [*names, *sorted(RATES)] if name not in ("model", *LISTS)]


def is_grid(name: str, value: Any) -> bool:
    """Return whether a value is a list of values to try."""
    return isinstance(value, (list, tuple)) and name not in LISTS


def variants(overrides: Overrides, row: str) -> list[Variant]:
    """Return every combination of the values of a row, in the order in which they are given.

    Raises: ValueError for more than `limits.RUNS`.

    >>> [v.hyperparameters for v in variants({"LoRA": {"r": 4, "alpha": [4, 8]}}, "LoRA")]
    [{'r': 4, 'alpha': 4}, {'r': 4, 'alpha': 8}]
    """
    given = {**overrides.get(ALL, {}), **overrides.get(row, {})}
    grid = {name: value for name, value in given.items() if is_grid(name, value)}
    limits.RUNS.check(f"the grid of row {row!r}", math.prod(map(len, grid.values())))
    found = []
    for combination in product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        merged = {**given, **values}
        found.append(
            Variant(
                hyperparameters={name: value for name, value in merged.items() if name not in SETTINGS},
                settings={name: value for name, value in merged.items() if name in SETTINGS},
                values=values,
            )
        )
    return found
