"""Types of what a folder of runs holds: finished runs, failed runs, sweeps with their cells, and unusable files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .. import places
from ..papers.printed import TABLES
from ..results import Failure, Result
from ..suggest import nearest

# Without Table 1 of C3A: it holds formulas, which a run cannot measure.
PRINTED = tuple(f"{paper}-{table}" for paper, table in TABLES if (paper, table) != ("c3a", "1"))
STATES = ("finished", "failed", "pending", "unreadable")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: file name of the record, without its suffix.
        folder: output folder of the run.
        result: the record without its long parts (losses, spectra, predictions); read `path` for those.
        profile: profile of its sweep or course run; "" if unknown.
        tables: titles of the sweeps that the run belongs to (see `Sweep.title`).
        mt_bench: mean score that a judge gave its answers to MT-Bench; None if it was not judged.
        judge: name of that judge; "" without one.
        mark: word that sets the run apart from others in figures and tables, such as "yours"; "" for most.
    """

    name: str
    folder: Path
    result: Result
    profile: str = ""
    tables: tuple[str, ...] = ()
    mt_bench: float | None = None
    judge: str = ""
    mark: str = ""

    @property
    def path(self) -> Path:
        """Return the path of the record."""
        return self.folder / "results" / f"{self.name}.json"


@dataclass(frozen=True)
class FailedRun:
    """A run that ended in an error; `has_record` says that a record of it, from another time, exists as well."""

    name: str
    folder: Path
    failure: Failure
    has_record: bool = False
    profile: str = ""
    tables: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Return the path of the file that describes the failure."""
        return self.folder / "failed" / f"{self.name}.json"


@dataclass(frozen=True)
class Cell:
    """One seed of one cell of a sweep: its place in the table, its run, and the state of that run (see `STATES`)."""

    row: str
    column: str
    task: str
    printed_task: bool
    label: str
    seed: int
    run: str
    state: str = "pending"


@dataclass(frozen=True)
class Sweep:
    """A sweep: its printed table ("" for a sweep of your own), its cells, and what it leaves out and why."""

    name: str
    table: str
    profile: str
    seeds: int
    statistic: str
    printed_model: bool
    started: str
    commit: str
    code: str
    folder: Path
    cells: tuple[Cell, ...] = ()
    left_out: tuple[dict[str, str], ...] = ()

    @property
    def title(self) -> str:
        """Return the name of its printed table, or its own name if it has none."""
        return self.table or self.name


@dataclass(frozen=True)
class Problem:
    """An unusable file, or one with an unknown field: its path, the reason, and what to do about it."""

    path: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class Found:
    """Everything that `scan` read under a folder.

    Args:
        folder: the folder.
        runs, failures, sweeps: what its files hold.
        problems: the files that cannot be used.
        left_out: the files of which a part was left out: fields that a newer version wrote.
    """

    folder: Path
    runs: tuple[Run, ...] = ()
    failures: tuple[FailedRun, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    left_out: tuple[Problem, ...] = field(default=())

    def sweeps_of(self, table: str) -> tuple[Sweep, ...]:
        """Return the sweeps of a table, latest start first; an empty tuple if a printed table has no sweep.

        Raises:
            ValueError: the name is neither a printed table nor a sweep; the message names the nearest.
        """
        known = list(dict.fromkeys([*PRINTED, *(sweep.title for sweep in self.sweeps)]))
        if table not in known:
            raise ValueError(f"unknown table {table!r}; {nearest(table, known)}")
        matching = [sweep for sweep in self.sweeps if sweep.title == table]
        return tuple(sorted(matching, key=lambda sweep: sweep.started, reverse=True))


def empty(folder: str | Path | None = None) -> Found:
    """Return a `Found` without any runs, for a folder or for the default folder of outputs."""
    return Found(Path(folder) if folder else places.outputs())
