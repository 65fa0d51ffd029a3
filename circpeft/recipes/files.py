"""A sweep of one's own, from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..results import default_folder
from ..suggest import nearest
from .parsing import parse_method
from .plan import Plan, seeds_of, settings_of
from .recipe import CellRecipe
from .tables import TABLES

KEYS = {"profile": str, "tasks": list, "methods": list, "seeds": int, "statistic": str, "data": str, "settings": dict}
STATISTICS = ("mean", "median")


def plan_file(
    path: str | Path, profile: str = "", seeds: int = 0, data: str | Path = "", output_dir: str | Path = "", **settings
) -> Plan:
    """The plan of a file such as this one, a row a method and a column a task::

        profile = "cpu"
        tasks = ["rte", "mrpc"]
        methods = ["lora:r=8", "c3a:block_size=64"]
        seeds = 3
        data = "my_data"       # holds my_data/rte and my_data/mrpc; a relative path starts at this file
        [settings]             # fields of `Recipe`, for every run
        epochs = 4

    Args: ``profile``, ``seeds``, ``data``, ``output_dir``, ``settings``: in place of the file's own.

    Raises: FileNotFoundError for an absent file; ValueError, naming the file, for one that is no TOML, an unknown key
    (with the nearest one), a value of another type, a missing ``tasks`` or ``methods``, and whatever `Recipe` raises.
    """
    from .. import tasks

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe file {str(path)!r}")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    _check(path, given)
    profile = profile or given.get("profile", "cpu")
    seeds = seeds or given.get("seeds", 1)
    own = {**given.get("settings", {}), **settings}
    folder = Path(data) if data else path.parent / given["data"] if "data" in given else None
    output = str(Path(output_dir or default_folder(f"{path.stem}-{profile}")).resolve())
    cells = []
    for seed in seeds_of(seeds):
        for method in given["methods"]:
            name, hyperparameters = parse_method(method)
            for task in given["tasks"]:
                try:
                    common = settings_of(profile, tasks.get(task).kind, own)
                    common |= {"data_dir": str((folder / task).resolve())} if folder else {}
                    run = {"hyperparameters": hyperparameters, "seed": seed, "output_dir": output, **common}
                    cells.append(CellRecipe(task, name, **run, row=method, column=task))
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from error
    return Plan(path.stem, "", profile, seeds, given.get("statistic", "mean"), False, tuple(cells), (), tuple(cells))


def _check(path: Path, given: dict[str, Any]) -> None:
    for key, value in given.items():
        if key not in KEYS:
            raise ValueError(f"{path}: unknown key {key!r}; {nearest(key, KEYS)}")
        if type(value) is not KEYS[key]:
            raise ValueError(f"{path}: {key} must be of type {KEYS[key].__name__}, got {value!r}")
    for key in ("tasks", "methods"):
        if not given.get(key) or not all(isinstance(value, str) for value in given[key]):
            raise ValueError(f'{path}: {key} must be a list of names, such as {key} = ["..."], got {given.get(key)!r}')
        twice = [value for value in given[key] if given[key].count(value) > 1]
        if twice:
            raise ValueError(f"{path}: {twice[0]!r} is listed twice in {key}; for more runs of it raise seeds")
    if path.stem in TABLES:
        raise ValueError(f"{path} has the name of a printed table, and would be taken for it; call it something else")
    if given.get("statistic", "mean") not in STATISTICS:
        raise ValueError(f"{path}: unknown statistic {given['statistic']!r}; {nearest(given['statistic'], STATISTICS)}")
