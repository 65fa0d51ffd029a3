"""The reader of folders of runs: every file is either read or listed as a problem; no file stops the reading."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from numbers import Real
from pathlib import Path
from typing import Any

from .. import places, results
from ..files import expanded
from ..results import SCHEMA, Failure, Result
from ..suggest import nearest
from .records import PRINTED, Cell, FailedRun, Found, Problem, Run, Sweep

SWEEP_SCHEMA = 1
KINDS = ("results", "failed", "sweeps")  # names of the folders that are read
NOT_KEPT: dict[str, Any] = {"losses": [], "spectra": {}, "predictions": [], "start_predictions": []}
TEXTS = ("task", "method", "label", "metric", "device", "finished")
COUNTS = ("seed", "trainable_parameters", "peak_bytes")
NUMBERS = ("test_score", "start_score", "seconds", "tokens_per_second")
OPTIONAL_NUMBERS = ("flops_per_token", "base_flops_per_token")
REMEDIES = {
    "results": "delete it and run again; if it is not a record, move it out of this folder",
    "failed": "delete it; restart the sweep or notebook to repeat the run",
    "sweeps": "start the sweep again: it rewrites this file and reuses the finished runs",
    "mt_bench": "delete it and repeat the sweep with its judge: the answers and judgments are kept",
    "run": "delete it; the profile of the runs in this folder is then unknown",
}


def scan(folder: str | Path | None = None) -> Found:
    """Read all runs, failures and sweeps under a folder, and list the files that cannot be used.

    Args:
        folder: an output folder, or a folder above several. None reads the default folder of outputs,
            which may be missing.

    Raises:
        FileNotFoundError: the named folder does not exist; the message names the nearest one beside it.
    """
    root = places.outputs() if folder is None else Path(expanded(folder))
    if folder is not None and not root.is_dir():
        siblings = sorted(p.name for p in root.parent.iterdir() if p.is_dir()) if root.parent.is_dir() else []
        raise FileNotFoundError(f"{str(root)!r} is not a folder; {nearest(root.name, siblings)}")
    problems: list[Problem] = []
    records: dict[tuple[Path, str], Result] = {}
    failures: dict[tuple[Path, str], Failure] = {}
    sweeps: list[Sweep] = []
    record_files: set[tuple[Path, str]] = set()
    for kind, path in _files(root):
        key = (path.parents[1], path.stem)
        try:
            if kind == "results":
                record_files.add(key)
                records[key] = _record(path)
            elif kind == "failed":
                failures[key] = _failure(path)
            else:
                sweeps.append(_sweep(path))
        except (OSError, ValueError) as error:
            problems.append(Problem(path, _reason(path, error), REMEDIES[kind]))

    def state(folder: Path, name: str) -> str:
        if (folder, name) in records:
            return "finished"
        if (folder, name) in record_files:
            return "unreadable"
        return "failed" if (folder, name) in failures else "pending"

    sweeps = [replace(s, cells=tuple(replace(c, state=state(s.folder, c.run)) for c in s.cells)) for s in sweeps]
    profiles = _course_profiles({folder for folder, _ in (*records, *failures)}, problems)
    sweeps_of_run: dict[tuple[Path, str], tuple[str, list[str]]] = {}
    for sweep in sweeps:
        for run in {cell.run for cell in sweep.cells}:
            sweeps_of_run.setdefault((sweep.folder, run), (sweep.profile, []))[1].append(sweep.title)

    def membership(key: tuple[Path, str]) -> dict[str, Any]:
        profile, tables = sweeps_of_run.get(key, (profiles.get(key[0], ""), []))
        return {"profile": profile, "tables": tuple(dict.fromkeys(tables))}

    runs = [
        Run(name, folder, record, **membership((folder, name)), **_judged(folder, name, record, problems))
        for (folder, name), record in records.items()
    ]
    failed = [
        FailedRun(name, folder, failure, (folder, name) in record_files, **membership((folder, name)))
        for (folder, name), failure in failures.items()
    ]
    return Found(root, tuple(runs), tuple(failed), tuple(sweeps), tuple(problems))


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (kind, path) of every JSON file in a folder named like one of the `KINDS`, in the order of their paths."""
    for directory, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kind = os.path.basename(directory)
        if kind in KINDS:
            for name in sorted(files):
                # A name that begins with a dot belongs to a file that is being written.
                if name.endswith(".json") and not name.startswith("."):
                    yield kind, Path(directory) / name


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return str(error).removeprefix(f"{path} ").removesuffix("; delete it to run again")


def _record(path: Path) -> Result:
    record = results.read(path)
    expected: list[tuple[str, tuple[type, ...]]] = [(name, (str,)) for name in TEXTS] + [
        (name, (int,)) for name in COUNTS
    ]
    expected += [("settings", (dict,)), ("computation", (dict,))] + [(name, (Real,)) for name in NUMBERS]
    expected += [(name, (Real, type(None))) for name in OPTIONAL_NUMBERS]
    if "validation" in record.rows or record.score is not None:  # a run may train on all rows
        expected.append(("score", (Real,)))
    for name, kinds in expected:
        _typed(name, getattr(record, name), kinds)
    for name, kind in (("hyperparameters", dict), ("model", str)):
        _typed(name, record.settings.get(name), (kind,))
    return replace(record, **NOT_KEPT)


def _judged(folder: Path, name: str, record: Result, problems: list[Problem]) -> dict[str, Any]:
    """Return the score and the judge of a run's answers to MT-Bench; nothing for those of an earlier record."""
    path = folder / "mt_bench" / name / "scores.json"
    if not path.exists():
        return {}
    try:
        data = _json(path)
        _complete(data, ["finished", "judge", "mean"], "the file")
        _typed("mean", data["mean"], (Real,))
        _typed("judge", data["judge"], (str,))
    except (OSError, ValueError) as error:
        problems.append(Problem(path, _reason(path, error), REMEDIES["mt_bench"]))
        return {}
    return {"mt_bench": data["mean"], "judge": data["judge"]} if data["finished"] == record.finished else {}


def _failure(path: Path) -> Failure:
    known = [f.name for f in fields(Failure)]
    data = _object(path, known, SCHEMA)
    _typed("settings", data["settings"], (dict,))
    for name, value in [("error", data["error"]), ("traceback", data["traceback"]), ("finished", data["finished"])]:
        _typed(name, value, (str,))
    for name, kind in (("task", str), ("method", str), ("model", str), ("seed", int)):
        _typed(name, data["settings"].get(name), (kind,))
    return Failure(**{name: data[name] for name in known})


def _sweep(path: Path) -> Sweep:
    own_fields = [f.name for f in fields(Sweep) if f.name not in ("folder", "cells", "left_out")]
    data = _object(path, [*own_fields, "cells", "left_out"], SWEEP_SCHEMA)
    if data["table"] and data["table"] not in PRINTED:
        raise ValueError(f"is a sweep of the unknown table {data['table']!r}; {nearest(data['table'], PRINTED)}")
    if data["statistic"] not in ("mean", "median"):
        raise ValueError(f"has the unknown statistic {data['statistic']!r}; expected mean or median")
    cell_fields = [f.name for f in fields(Cell) if f.name != "state"]
    for cell in data["cells"]:
        _complete(cell, cell_fields, "a cell")
        _typed("seed of a cell", cell["seed"], (int,))
    for cell in data["left_out"]:
        _complete(cell, ["row", "column", "reason"], "an entry of left_out")
    cells = tuple(Cell(**{name: cell[name] for name in cell_fields}) for cell in data["cells"])
    values = {name: data[name] for name in own_fields}
    return Sweep(**values, folder=path.parents[1], cells=cells, left_out=tuple(data["left_out"]))


def _object(path: Path, names: list[str], schema: int) -> dict:
    data = _json(path)
    stated = data.get("schema") if isinstance(data, dict) else None
    if stated != schema:
        raise ValueError(f"has schema {stated!r}, expected {schema}")
    _complete(data, names, "the file")
    return data


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _complete(data: object, names: list[str], part: str) -> None:
    """Raise ValueError unless an object has all these names."""
    missing = [name for name in names if not isinstance(data, dict) or name not in data]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)} in {part}")


def _typed(name: str, value: object, kinds: tuple[type, ...]) -> None:
    """Raise ValueError unless a value has one of these types; a number must be finite, and True is not a number."""
    if not isinstance(value, kinds) or isinstance(value, bool) or isinstance(value, Real) and not math.isfinite(value):
        names = {str: "a string", int: "a whole number", Real: "a finite number", dict: "an object", type(None): "null"}
        raise ValueError(f"has {name} = {value!r}, expected {' or '.join(names[kind] for kind in kinds)}")


def _course_profiles(folders: set[Path], problems: list[Problem]) -> dict[Path, str]:
    """Return the profile of each folder that a run of the course wrote, from its ``run.json``."""
    profiles = {}
    for folder in sorted(folders):
        path = folder / "run.json"
        if path.is_file():
            try:
                data = _json(path)
                _complete(data, ["profile"], "the file")
                profiles[folder] = str(data["profile"])
            except (OSError, ValueError) as error:
                problems.append(Problem(path, _reason(path, error), REMEDIES["run"]))
    return profiles
