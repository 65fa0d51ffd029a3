"""Grids in a sweep: which of the values tried for a cell is the best on validation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .. import results, training
from ..recipes import Plan, Search
from .record import SweepError


def check(plan: Plan) -> None:
    """Raise SweepError for a grid whose candidates have no validation split to be compared on."""
    known: dict[tuple, bool] = {}
    for search in plan.searches:
        for recipe in search.candidates:
            source = (recipe.task, recipe.data_dir, recipe.hold_out, recipe.tested_epoch)
            if source not in known:
                try:
                    known[source] = "validation" in training.data_of(recipe).data
                except Exception:  # the check of all runs will find and report it
                    known[source] = True
            if not known[source]:
                raise SweepError(
                    f"row {search.row!r}, column {search.column!r}: a grid is chosen on validation, and task "
                    f"{recipe.task!r} has no validation split with hold_out=False; set hold_out=True, so that rows are "
                    f"held out of train, or give one value of {', '.join(search.values[0])}"
                )


def best(search: Search, on_record: Collection[str]) -> tuple[int | None, dict[str, Any]]:
    """Return the number of the candidate with the highest validation score, and what the plan's file says about it.

    The first of several with the same score is taken. Without a finished candidate the number is None.

    Args:
        search: the search.
        on_record: names of the runs that have a record of this sweep.
    """
    tried: list[dict[str, Any]] = []
    for recipe, values in zip(search.candidates, search.values, strict=True):
        path = results.path_of(recipe.name, recipe.output_dir)
        score = results.read(path).score if recipe.name in on_record else None
        tried.append({"values": values, "run": recipe.name, "score": score})
    finished = [number for number, entry in enumerate(tried) if entry["score"] is not None]
    number = max(finished, key=lambda place: tried[place]["score"]) if finished else None
    entry = {"row": search.row, "column": search.column, "chosen": None if number is None else tried[number]["values"]}
    return number, entry | {"tried": tried}


def resolve(plan: Plan, on_record: Collection[str]) -> tuple[Plan, list[dict[str, Any]]]:
    """Return a plan with the values that its searches chose, and an entry for each search."""
    found = [best(search, on_record) for search in plan.searches]
    choices = {place: number for place, (number, _) in enumerate(found) if number is not None}
    return plan.with_choices(choices), [entry for _, entry in found]


def described(entry: dict[str, Any]) -> str:
    """Return the line about one choice.

    >>> tried = [{"values": {"alpha": 8}, "score": 0.5}, {"values": {"alpha": 9}, "score": None}]
    >>> described({"row": "LoRA", "column": "RTE", "chosen": {"alpha": 8}, "tried": tried})
    'LoRA | RTE | chosen: alpha=8 (validation 0.5000; best of 1, and 1 failed)'
    """
    scores = {str(row["values"]): row["score"] for row in entry["tried"] if row["score"] is not None}
    failed = len(entry["tried"]) - len(scores)
    place = f"{entry['row']} | {entry['column']}"
    if entry["chosen"] is None:
        return f"{place} | nothing chosen: all {failed} runs of the grid failed"
    values = ", ".join(f"{name}={value}" for name, value in entry["chosen"].items())
    note = f"validation {scores[str(entry['chosen'])]:.4f}; best of {len(scores)}" + f", and {failed} failed" * bool(
        failed
    )
    return f"{place} | chosen: {values} ({note})"
