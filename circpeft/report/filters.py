"""Selection of runs by task, method, model, profile, seed or table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..suggest import nearest
from .records import PRINTED, Cell, FailedRun, Found, Run

NAMES = ("task", "method", "model", "profile", "seed", "table")


def _values(run: Run | FailedRun) -> dict[str, tuple]:
    """Return the values of a run by filter name."""
    settings = run.result.settings if isinstance(run, Run) else run.failure.settings
    values = {name: (settings.get(name),) for name in ("task", "method", "model", "seed")}
    return values | {"profile": (run.profile,), "table": run.tables}


def choices(found: Found) -> dict[str, list]:
    """Return the possible values of each filter, from the runs, the failures and the cells of the sweeps."""
    seen: dict[str, set] = {name: set() for name in NAMES}
    every: list[Run | FailedRun] = [*found.runs, *found.failures]
    for run in every:
        for name, values in _values(run).items():
            seen[name].update(values)
    for sweep in found.sweeps:
        seen["table"].add(sweep.title)
        seen["profile"].add(sweep.profile)
        for cell in sweep.cells:
            for name, value in _cell_values(cell).items():
                seen[name].add(value)
    return {name: sorted(values - {None, ""}) for name, values in seen.items()}


def _cell_values(cell: Cell) -> dict[str, Any]:
    return {"task": cell.task, "method": cell.label.split(":")[0], "seed": cell.seed}


def _wanted(found: Found, filters: dict[str, Any]) -> dict[str, set]:
    known, wanted = choices(found), {}
    for name, value in filters.items():
        if value is None:
            continue
        values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        allowed = [*known[name], *(PRINTED if name == "table" else ())]
        for choice in values:
            if choice not in allowed:
                raise ValueError(f"unknown {name} {choice!r}; {nearest(choice, dict.fromkeys(allowed))}")
        wanted[name] = set(values)
    return wanted


def filtered(
    found: Found,
    task: str | Iterable[str] | None = None,
    method: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    profile: str | Iterable[str] | None = None,
    seed: int | Iterable[int] | None = None,
    table: str | Iterable[str] | None = None,
) -> Found:
    """Return the runs, failures and sweep cells that pass every filter.

    A filter is one value, several values, or None for all. Unusable files stay: what they hold is not known.

    Raises:
        ValueError: no run has this value; the message names the nearest.

    >>> filtered(Found(__import__("pathlib").Path()), task="sst2")
    Traceback (most recent call last):
    ...
    ValueError: unknown task 'sst2'; choices: none
    """
    filters = dict(zip(NAMES, (task, method, model, profile, seed, table), strict=True))
    wanted = _wanted(found, filters)

    def fits(values: dict[str, tuple]) -> bool:
        return all(name not in values or not chosen.isdisjoint(values[name]) for name, chosen in wanted.items())

    every: list[Run | FailedRun] = [*found.failures, *found.runs]  # a record overrides a failure
    runs = {(run.folder, run.name): run for run in every}
    sweeps = []
    for sweep in found.sweeps:
        if not fits({"profile": (sweep.profile,), "table": (sweep.title,)}):
            continue
        cells = []
        for cell in sweep.cells:
            values = {name: (value,) for name, value in _cell_values(cell).items()}
            if (run := runs.get((sweep.folder, cell.run))) is not None:  # a cell does not name its model
                values |= {"model": _values(run)["model"]}
            cells += [cell] if fits(values) else []
        sweeps.append(replace(sweep, cells=tuple(cells)))
    return replace(
        found,
        runs=tuple(run for run in found.runs if fits(_values(run))),
        failures=tuple(run for run in found.failures if fits(_values(run))),
        sweeps=tuple(sweeps),
    )
