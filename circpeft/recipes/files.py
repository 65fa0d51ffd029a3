"""Sweeps described in a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..files import expanded, read_text
from ..results import default_folder
from ..suggest import nearest
from .parsing import parse_method
from .plan import Plan, seeds_of, settings_of
from .protocol import STATISTICS
from .recipe import CellRecipe
from .tables import TABLES

KEYS = {"profile": str, "tasks": list, "methods": list, "seeds": int, "statistic": str, "data": str, "settings": dict}


def plan_file(
    path: str | Path, profile: str = "", seeds: int = 0, data: str | Path = "", output_dir: str | Path = "", **settings
) -> Plan:
    """Return the plan of a file such as this one, with a row for each method and a column for each task::

        profile = "cpu"
        tasks = ["rte", "mrpc"]
        methods = ["lora:r=8", "c3a:block_size=64"]
        seeds = 3
        data = "my_data"       # holds my_data/rte and my_data/mrpc; a relative path starts at this file
        [settings]             # fields of `Recipe`, for every run
        epochs = 4

    Args:
        path: the file.
        profile, seeds, data: used instead of the file's own, if given.
        output_dir: where records go; "" is ``runs/<file>-<profile>`` beside the package.
        settings: fields of `Recipe`, used instead of the file's own.

    Raises: FileNotFoundError if there is no such file; ValueError, naming the file, if it is not TOML, for an unknown
    key (with the nearest one), a value of a wrong type, missing ``tasks`` or ``methods``, or whatever `Recipe` raises.
    """
    from .. import tasks

    path = Path(expanded(path))
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe file {str(path)!r}")
    try:
        content = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    _check(path, content)
    profile = profile or content.get("profile", "cpu")
    seeds = seeds or content.get("seeds", 1)
    settings = {**content.get("settings", {}), **settings}
    folder = Path(expanded(data)) if data else path.parent / expanded(content["data"]) if "data" in content else None
    output = str(Path(expanded(output_dir or default_folder(f"{path.stem}-{profile}"))).resolve())
    cells = []
    for seed in seeds_of(seeds):
        for method in content["methods"]:
            name, hyperparameters = parse_method(method)
            for task in content["tasks"]:
                try:
                    common = settings_of(profile, tasks.get(task).kind, settings)
                    common |= {"data_dir": str((folder / task).resolve())} if folder else {}
                    run = {"hyperparameters": hyperparameters, "seed": seed, "output_dir": output, **common}
                    cells.append(CellRecipe(task, name, **run, row=method, column=task))
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from error
    return Plan(
        name=path.stem,
        table="",
        profile=profile,
        seeds=seeds,
        statistic=content.get("statistic", "mean"),
        printed_model=False,
        cells=tuple(cells),
        listed=tuple(cells),
    )


def _check(path: Path, content: dict[str, Any]) -> None:
    for key, value in content.items():
        if key not in KEYS:
            raise ValueError(f"{path}: unknown key {key!r}; {nearest(key, KEYS)}")
        if type(value) is not KEYS[key]:
            raise ValueError(f"{path}: {key} must be of type {KEYS[key].__name__}, got {value!r}")
    for key in ("tasks", "methods"):
        names = content.get(key)
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f'{path}: {key} must be a list of names, such as {key} = ["..."], got {names!r}')
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"{path}: {repeated[0]!r} is listed twice in {key}; for more runs of it raise seeds")
    if path.stem in TABLES:
        raise ValueError(f"{path} has the name of a printed table and would be taken for it; rename the file")
    statistic = content.get("statistic", "mean")
    if statistic not in STATISTICS:
        raise ValueError(f"{path}: unknown statistic {statistic!r}; {nearest(statistic, STATISTICS)}")
