"""Sweeps described in a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..files import expanded, read_text
from ..method_specs import get_spec
from ..results import default_folder
from ..suggest import nearest
from .checks import check_unrepeated
from .overrides import Overrides, check_overrides, variants
from .parsing import parse_method
from .plan import Plan, check_settings, planned, seeds_of, settings_of
from .protocol import checked_statistic
from .table_plan import plan_table
from .tables import TABLES

KEYS = {
    "profile": str,
    "table": str,
    "rows": list,
    "columns": list,
    "tasks": list,
    "methods": list,
    "seeds": int,
    "statistic": str,
    "data": str,
    "overrides": dict,
    "settings": dict,
}
OF_TABLES = ("rows", "columns")
OF_LISTS = ("tasks", "methods")


def plan_file(
    path: str | Path,
    profile: str = "",
    seeds: int = 0,
    data: str | Path = "",
    output_dir: str | Path = "",
    overrides: Overrides = MappingProxyType({}),
    **settings: Any,
) -> Plan:
    """Return the plan of a file such as this one, with a row for each method and a column for each task::

        profile = "cpu"
        tasks = ["rte", "mrpc"]
        methods = ["lora:r=8", "c3a:block_size=64"]
        seeds = 3
        data = "my_data"       # holds my_data/rte and my_data/mrpc; a relative path starts at this file
        [settings]             # fields of `Recipe`, for every run
        epochs = 4
        [overrides."lora:r=8"]              # for one row; several values are a grid
        learning_rate = [3e-4, 1e-3, 3e-3]

    A file with ``table = "cdvft-1"`` instead of tasks and methods is that printed table; ``rows`` and ``columns``
    choose from it, and overrides name its rows.

    Args:
        path: the file.
        profile, seeds, data: used instead of the file's own, if given.
        output_dir: where records go; "" is ``runs/<file>-<profile>``, see `places.outputs`.
        overrides: added to the file's own, and used instead of them where both have a name.
        settings: fields of `Recipe`, used instead of the file's own.

    Raises: FileNotFoundError if there is no such file; ValueError, naming the file, if it is not TOML, for an unknown
    key (with the nearest one), a value of a wrong type, missing ``tasks`` or ``methods``, or whatever `Recipe`,
    `plan_table` and `check_overrides` raise.
    """
    path = Path(expanded(path))
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe file {str(path)!r}")
    try:
        content = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # not TOML, not text, or nested too deeply
        raise ValueError(f"{path} is not TOML: {error}") from error
    _check(path, content)
    profile = profile or content.get("profile", "cpu")
    asked: int | None = seeds or content.get("seeds")
    own = content.get("overrides", {})
    settings = {**content.get("settings", {}), **settings}
    try:
        check_settings(settings)  # one with the name of an argument would be taken for it
        of_file = path.parent / expanded(content["data"]) if "data" in content else None
        folder = Path(expanded(data)) if data else of_file
        options = {
            "output_dir": output_dir or default_folder(f"{path.stem}-{profile}"),
            "statistic": content.get("statistic", ""),
            "overrides": {row: {**own.get(row, {}), **overrides.get(row, {})} for row in [*own, *overrides]},
            **settings,
        }
        if "table" in content:
            chosen = {name: content.get(name, ()) for name in OF_TABLES}
            plan = plan_table(content["table"], profile, asked, data=folder or "", **chosen, **options)
            return replace(plan, name=path.stem)
        return _plan_lists(path.stem, content, profile, 1 if asked is None else asked, folder, **options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _plan_lists(
    name: str,
    content: dict[str, Any],
    profile: str,
    seeds: int,
    folder: Path | None,
    output_dir: str | Path,
    statistic: str,
    overrides: Overrides,
    **settings: Any,
) -> Plan:
    """Return the plan of a file that lists tasks and methods."""
    from .. import tasks

    methods = {text: parse_method(text) for text in content["methods"]}
    for method, _ in methods.values():
        get_spec(method)  # raises for an unknown one
    check_overrides(overrides, {text: [method] for text, (method, _) in methods.items()})
    output, drafts = str(Path(expanded(output_dir)).resolve()), []
    for text, (method, hyperparameters) in methods.items():
        for task in content["tasks"]:
            given = settings_of(profile, tasks.get(task).kind, settings)
            given |= {"data_dir": str((folder / task).resolve())} if folder else {}
            given |= {"task": task, "method": method, "hyperparameters": hyperparameters, "output_dir": output}
            drafts.append((variants(overrides, text), given | {"row": text, "column": task}))
    cells, searches = planned(drafts, seeds_of(seeds))
    tried = {id(cell) for search in searches for cell in search.candidates}
    return Plan(
        name=name,
        table="",
        profile=profile,
        seeds=seeds,
        statistic=checked_statistic(statistic or "mean"),
        printed_model=False,
        cells=tuple(cells),
        listed=tuple(cell for cell in cells if id(cell) not in tried),
        searches=tuple(searches),
    )


def _check(path: Path, content: dict[str, Any]) -> None:
    for key, value in content.items():
        if key not in KEYS:
            raise ValueError(f"{path}: unknown key {key!r}; {nearest(key, KEYS)}")
        if type(value) is not KEYS[key]:
            raise ValueError(f"{path}: {key} must be of type {KEYS[key].__name__}, got {value!r}")
    for row, given in content.get("overrides", {}).items():
        if type(given) is not dict:
            raise ValueError(f"{path}: the override of row {row!r} must be names with their values, got {given!r}")
    excluded = OF_LISTS if "table" in content else OF_TABLES
    for key in excluded:
        if key in content:
            other = "a printed table has its own tasks and methods" if "table" in content else "only tables have it"
            raise ValueError(f"{path}: leave out {key}: {other}")
    for key in () if "table" in content else OF_LISTS:
        names = content.get(key)
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f'{path}: {key} must be a list of names, such as {key} = ["..."], got {names!r}')
        check_unrepeated(f"{path}: {key}", names, "for more runs of it raise seeds")
    if path.stem in TABLES:
        raise ValueError(f"{path} has the name of a printed table and would be taken for it; rename the file")
