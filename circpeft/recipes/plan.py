"""Plans of sweeps: the runs of a table, and the searches that choose the hyperparameters of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .. import limits
from ..suggest import nearest
from .checks import check_unrepeated
from .overrides import Variant
from .parsing import profile as profile_settings
from .parsing import targets as parsed_targets
from .recipe import CellRecipe, Recipe
from .tables import TABLES

# Fields of a recipe that a plan sets; the others are settings.
SET_BY_PLAN = {"task", "method", "hyperparameters", "seed", "output_dir"}
SETTING_TYPES = {f.name: f.type for f in fields(Recipe) if f.name not in SET_BY_PLAN}  # as type hints
SETTINGS = sorted(SETTING_TYPES)


@dataclass(frozen=True)
class Search:
    """A grid for one cell: its values are tried with the first seed, and the best on validation gets all seeds.

    Args:
        candidates: a recipe for each combination of values, in the grid's order.
        values: the values of each, by name.
        seeds: the seeds of the plan.
    """

    candidates: tuple[CellRecipe, ...]
    values: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]

    @property
    def row(self) -> str:
        """The row of the cell."""
        return self.candidates[0].row

    @property
    def column(self) -> str:
        """The column of the cell."""
        return self.candidates[0].column

    def cells(self, number: int) -> tuple[CellRecipe, ...]:
        """Return the recipes of all seeds with the values of one candidate. The first seed is the candidate itself."""
        return tuple(replace(self.candidates[number], seed=seed) for seed in self.seeds)


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep.

    Args:
        name: name of the sweep: the table's name, or that of the file.
        table: name of the printed table, or "" for a file.
        profile: name of the profile that the settings come from.
        seeds: number of seeds.
        statistic: how the seeds of a cell are summarised: "mean" or "median".
        printed_model: whether the models are those of the paper.
        cells: the recipes, seed by seed. If two cells are the same run, it runs once. A cell with a grid has its
            candidates here, with the first seed only.
        left_out: row, column and reason of the cells that cannot be run with these settings.
        listed: all cells of the table under these settings, including those that are not run now. Cells with a grid are
            added when their values are chosen.
        searches: the grids.
    """

    name: str
    table: str
    profile: str
    seeds: int
    statistic: str
    printed_model: bool
    cells: tuple[CellRecipe, ...]
    left_out: tuple[dict[str, str], ...] = field(default=())
    listed: tuple[CellRecipe, ...] = field(default=())
    searches: tuple[Search, ...] = field(default=())

    @property
    def printed_columns(self) -> set[str]:
        """The columns that the paper prints, without those of tasks that replace the paper's."""
        return set(TABLES[self.table].columns) if self.table else set()

    def with_choices(self, choices: dict[int, int]) -> Plan:
        """Return the plan with the values that the searches chose, and without searches.

        Args: ``choices``: the number of the chosen candidate, by the number of the search. A search without one has no
            cell.
        """
        tried = {id(cell) for search in self.searches for cell in search.candidates}
        chosen = tuple(cell for place, number in choices.items() for cell in self.searches[place].cells(number))
        kept = tuple(cell for cell in self.cells if id(cell) not in tried)
        return replace(self, cells=kept + chosen, listed=self.listed + chosen, searches=())


def check_settings(names: Iterable[str]) -> None:
    """Raise ValueError for the name of a setting that no recipe has, with the nearest one."""
    for name in names:
        if name not in SETTINGS:
            raise ValueError(f"unknown setting {name!r}; {nearest(name, SETTINGS)}")


def settings_of(profile: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's settings, replaced by the given ones where there are any.

    Raises: ValueError for a setting that no recipe has, with the nearest one.
    """
    check_settings(settings)
    return _parsed({**profile_settings(profile, kind), **settings})


def _parsed(merged: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the names of layers as tuples, where they are given as one text."""
    if isinstance(merged.get("target_modules"), str):
        merged["target_modules"] = parsed_targets(merged["target_modules"])
    if isinstance(merged.get("target_parameters"), str):
        merged["target_parameters"] = tuple(filter(None, map(str.strip, merged["target_parameters"].split(","))))
    return merged


def seeds_of(seeds: Any) -> list[int]:
    """Return the seeds: 0, 1, ... for a number of seeds, or those of a list.

    Raises: ValueError for an empty list, one that has a seed twice, a number below 1 or above `limits.RUNS`, or a value
    of another type.

    >>> seeds_of(3), seeds_of([7, 3])
    ([0, 1, 2], [7, 3])
    """
    if isinstance(seeds, Sequence) and not isinstance(seeds, str) and seeds:
        check_unrepeated("seeds", seeds)
        return list(seeds)
    if type(seeds) is not int or seeds < 1:
        raise ValueError(f"seeds must be an integer of at least 1, got {seeds!r}")
    limits.RUNS.check("seeds", seeds)
    return list(range(seeds))


def planned(
    cells: Iterable[tuple[list[Variant], dict[str, Any]]], seeds: Sequence[int]
) -> tuple[list[CellRecipe], list[Search]]:
    """Return the recipes of cells, seed by seed, and the searches of those with a grid.

    Args:
        cells: for each cell its variants (one without a grid), and the fields of `CellRecipe` without those of the
            variants and the seed.
        seeds: the seeds.

    Raises: ValueError for more than `limits.RUNS`.
    """
    recipes, searches = [], []
    cells = list(cells)
    limits.RUNS.check("the plan", sum(len(variants) - 1 + len(seeds) for variants, _ in cells))
    for seed in seeds:
        for variants, given in cells:
            if len(variants) > 1 and seed != seeds[0]:
                continue
            tried = [CellRecipe(**_merged(given, variant), seed=seed) for variant in variants]
            recipes += tried
            if len(variants) > 1:
                searches.append(Search(tuple(tried), tuple(v.values for v in variants), tuple(seeds)))
    return recipes, searches


def _merged(given: dict[str, Any], variant: Variant) -> dict[str, Any]:
    hyperparameters = {**given["hyperparameters"], **variant.hyperparameters}
    merged = {**given, **variant.settings, "hyperparameters": hyperparameters}
    return _parsed(merged)
