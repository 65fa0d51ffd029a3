"""The reader of folders of runs: every file is either read or listed as a problem; no file stops the reading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .. import places, results, run_files
from ..files import expanded
from ..results import Failure, Result
from ..run_files.json_files import FileError, printable
from ..suggest import nearest
from .records import PRINTED, Cell, FailedRun, Found, Problem, Run, Sweep

KINDS = ("results", "failed", "sweeps")  # names of the folders that are read
NOT_KEPT: dict[str, Any] = {"losses": [], "spectra": {}, "predictions": [], "start_predictions": []}
REMEDIES = {
    "results": "delete it and run again; if it is not a record, move it out of this folder",
    "failed": "delete it; restart the sweep or notebook to repeat the run",
    "sweeps": "start the sweep again: it rewrites this file and reuses the finished runs",
    "mt_bench": "delete it and repeat the sweep with its judge: the answers and judgments are kept",
    "run": "delete it; the profile of the runs in this folder is then unknown",
    "folder": "make it readable, or move it away",
}
UPDATE = "update circpeft to read all of it"


class _Notes:
    """What a scan leaves out: unusable files, and fields of newer versions."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.left_out: list[Problem] = []

    def read(self, kind: str, path: Path, reader: Callable[[Path], tuple[Any, list[str]]]) -> Any:
        """Return what a reader returns, or None for a file that cannot be used."""
        try:
            _check_name(path)
            value, unknown = reader(path)
        except (OSError, ValueError) as error:
            newer = isinstance(error, FileError) and error.newer
            self.problems.append(Problem(path, _reason(path, error), UPDATE if newer else REMEDIES[kind]))
            return None
        if unknown:
            names = ", ".join(unknown)
            self.left_out.append(Problem(path, f"has fields that this version does not know: {names}", UPDATE))
        return value


def _check_name(path: Path) -> None:
    """Raise FileError for a file whose name is not text: tables and pages could not hold it."""
    if printable(path.name) != path.name:
        raise FileError(path, "has a name with characters that cannot be printed; rename it")


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
    notes = _Notes()
    records: dict[tuple[Path, str], Result] = {}
    failures: dict[tuple[Path, str], Failure] = {}
    sweeps: list[Sweep] = []
    record_files: set[tuple[Path, str]] = set()
    for kind, path in _files(root, notes):
        key = (path.parents[1], path.stem)
        if kind == "results":
            record_files.add(key)
            if (record := notes.read(kind, path, results.read_with_unknown)) is not None:
                records[key] = replace(record, **NOT_KEPT)
        elif kind == "failed":
            if (failure := notes.read(kind, path, results.read_failure)) is not None:
                failures[key] = failure
        elif (sweep := notes.read(kind, path, _sweep)) is not None:
            sweeps.append(sweep)

    def state(folder: Path, name: str) -> str:
        if (folder, name) in records:
            return "finished"
        if (folder, name) in record_files:
            return "unreadable"
        return "failed" if (folder, name) in failures else "pending"

    sweeps = [replace(s, cells=tuple(replace(c, state=state(s.folder, c.run)) for c in s.cells)) for s in sweeps]
    profiles = _course_profiles({folder for folder, _ in (*records, *failures)}, notes)
    sweeps_of_run: dict[tuple[Path, str], tuple[str, list[str]]] = {}
    for sweep in sweeps:
        for run in {cell.run for cell in sweep.cells}:
            sweeps_of_run.setdefault((sweep.folder, run), (sweep.profile, []))[1].append(sweep.title)

    def membership(key: tuple[Path, str]) -> dict[str, Any]:
        profile, tables = sweeps_of_run.get(key, (profiles.get(key[0], ""), []))
        return {"profile": profile, "tables": tuple(dict.fromkeys(tables))}

    runs = [
        Run(name, folder, record, **membership((folder, name)), **_judged(folder, name, record, notes))
        for (folder, name), record in records.items()
    ]
    failed = [
        FailedRun(name, folder, failure, (folder, name) in record_files, **membership((folder, name)))
        for (folder, name), failure in failures.items()
    ]
    return Found(root, tuple(runs), tuple(failed), tuple(sweeps), tuple(notes.problems), tuple(notes.left_out))


def _files(root: Path, notes: _Notes) -> Iterator[tuple[str, Path]]:
    """Yield (kind, path) of every JSON file in a folder named like one of the `KINDS`, in the order of their paths.

    A folder in the place of such a file is yielded, too. A folder that cannot be listed is noted.
    """

    def failed(error: OSError) -> None:
        path = Path(error.filename)
        if path == root and not root.exists():  # the default folder may be missing
            return
        notes.problems.append(Problem(path, _reason(path, error), REMEDIES["folder"]))

    for directory, folders, files in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kind = os.path.basename(directory)
        if kind in KINDS:
            for name in sorted([*files, *folders]):
                # A name that begins with a dot belongs to a file that is being written.
                if name.endswith(".json") and not name.startswith("."):
                    yield kind, Path(directory) / name


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return error.reason if isinstance(error, FileError) else str(error).removeprefix(f"{path} ")


def _judged(folder: Path, name: str, record: Result, notes: _Notes) -> dict[str, Any]:
    """Return the score and the judge of a run's answers to MT-Bench; nothing for those of an earlier record."""
    path = folder / "mt_bench" / name / "scores.json"
    scores = notes.read("mt_bench", path, run_files.read_judged) if os.path.lexists(path) else None
    return {"mt_bench": scores.mean, "judge": scores.judge} if scores and scores.finished == record.finished else {}


def _sweep(path: Path) -> tuple[Sweep, list[str]]:
    read, unknown = run_files.read_sweep(path)
    if read.table and read.table not in PRINTED:
        raise FileError(path, f"is a sweep of the unknown table {read.table!r}; {nearest(read.table, PRINTED)}")
    own = {field.name for field in fields(Sweep)} - {"folder", "cells", "left_out"}
    cells = tuple(Cell(**vars(cell)) for cell in read.cells)
    left_out = tuple(vars(entry) for entry in read.left_out)
    values = {name: getattr(read, name) for name in own}
    return Sweep(**values, folder=path.parents[1], cells=cells, left_out=left_out), unknown


def _course_profiles(folders: set[Path], notes: _Notes) -> dict[Path, str]:
    """Return the profile of each folder that a run of the course wrote, from its ``run.json``."""
    paths = {folder: folder / "run.json" for folder in sorted(folders)}
    found = {folder: notes.read("run", path, run_files.read_course) for folder, path in paths.items() if path.exists()}
    return {folder: record.profile for folder, record in found.items() if record is not None}
