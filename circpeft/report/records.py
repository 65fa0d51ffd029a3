"""What is found in a folder of runs: finished runs, failed ones, sweeps with their cells, and files that are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..papers.printed import TABLES
from ..results import ROOT, Failure, Result
from ..suggest import nearest

# Table 1 of C3A holds formulas, which no run can measure.
PRINTED = tuple(f"{paper}-{table}" for paper, table in TABLES if (paper, table) != ("c3a", "1"))
STATES = ("finished", "failed", "pending", "unreadable")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: file name of its record, without the ending.
        folder: the output folder that it is in.
        result: its record; what is long in it (losses, spectra, predictions) is left out, and is read again from `path`
            where it is shown.
        profile: of the sweep or the course run that it belongs to; "" where none tells.
        tables: the sweeps that it belongs to, by their tables' names, or by their own where they stand for no table.
    """

    name: str
    folder: Path
    result: Result
    profile: str = ""
    tables: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its record."""
        return self.folder / "results" / f"{self.name}.json"


@dataclass(frozen=True)
class FailedRun:
    """A run that ended in an error; `has_record` where there is a record of it all the same, made at another time."""

    name: str
    folder: Path
    failure: Failure
    has_record: bool = False
    profile: str = ""
    tables: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file that tells of it."""
        return self.folder / "failed" / f"{self.name}.json"


@dataclass(frozen=True)
class Cell:
    """One seed of one cell of a sweep: where it stands, what is run for it, and how far that is (see `STATES`)."""

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
    """A sweep: the table that it stands for ("" for one of a user's own), its cells, and what it leaves out and why."""

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
        """The printed table's name, or the sweep's own where it stands for none."""
        return self.table or self.name


@dataclass(frozen=True)
class Problem:
    """A file that could not be used: which, why, and what to do about it."""

    path: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class Found:
    """Everything that was found under a folder."""

    folder: Path
    runs: tuple[Run, ...] = ()
    failures: tuple[FailedRun, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    problems: tuple[Problem, ...] = field(default=())

    def sweeps_of(self, table: str) -> tuple[Sweep, ...]:
        """The sweeps of a table, the one that was started last first; none for a printed table that nobody swept.

        Raises: ValueError for a name that is neither a printed table nor a sweep, with the nearest.
        """
        known = list(dict.fromkeys([*PRINTED, *(sweep.title for sweep in self.sweeps)]))
        if table not in known:
            raise ValueError(f"unknown table {table!r}; {nearest(table, known)}")
        own = [sweep for sweep in self.sweeps if sweep.title == table]
        return tuple(sorted(own, key=lambda sweep: sweep.started, reverse=True))


def empty(folder: str | Path | None = None) -> Found:
    """Nothing found, in a folder or in the repository's runs."""
    return Found(Path(folder) if folder else ROOT / "runs")
