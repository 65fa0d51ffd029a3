"""Files beside the records of an output folder: sweeps, progress, a judge's scores, and ``run.json`` of the course.

Each kind has one schema, a dataclass, and is checked where it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from .json_files import Count, FileError, Holding, Name, Positive, Text, Time, read

SWEEP_SCHEMA = 1


@dataclass(frozen=True)
class SweepCell:
    """One seed of one cell of a sweep: its place in the table, and the name of its run."""

    row: Name
    column: Name
    task: Name
    printed_task: bool
    label: Name
    seed: Count
    run: Text


@dataclass(frozen=True)
class LeftOut:
    """Cells that a sweep cannot run; an empty row or column stands for all."""

    row: Name
    column: Name
    reason: Text


@dataclass(frozen=True)
class SweepFile:
    """The plan of a sweep, ``sweeps/<name>.json``."""

    name: Name
    table: Name
    profile: Name
    seeds: Count
    statistic: Literal["mean", "median"]
    printed_model: bool
    started: Name
    commit: Name
    code: Name
    cells: tuple[SweepCell, ...]
    left_out: tuple[LeftOut, ...]
    grids: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """The steps that a run has made, ``running/<name>.json``."""

    step: Count
    of: Count


@dataclass(frozen=True)
class JudgedScores:
    """The scores that a judge gave a run, ``mt_bench/<name>/scores.json``. They belong to the record of that time."""

    finished: Name
    judge: Name
    mean: Positive
    run: Text = ""
    turn_1: Positive | None = None
    turn_2: Positive | None = None
    categories: dict[str, Positive | None] = field(default_factory=dict)
    scored: Count = 0
    missing: Count = 0


NotebookError = Annotated[
    dict,
    Holding({"ename": str, "evalue": str}, {"cell": Count | None, "source": str, "execution": Count | None}),
]
NotebookEntry = Annotated[
    dict,
    Holding(
        {"name": Name, "status": Literal["pending", "running", "ok", "failed", "interrupted"]},
        {
            "digest": Name,
            "profile": Name,
            "started": Time,
            "seconds": Positive,
            "error": NotebookError,
            "device": Name,
            "commit": Name,
            "code": Name,
            "versions": dict[str, str],
        },
    ),
]


@dataclass
class CourseRecord:
    """A run of notebooks, ``run.json``: what was asked for, and how each notebook ended."""

    profile: Name
    parameters: dict[str, Any]
    sources: list[str]
    started: Time
    status: Name
    notebooks: list[NotebookEntry]
    finished: Time | None = None


def read_sweep(path: str | Path) -> tuple[SweepFile, list[str]]:
    """Read the plan of a sweep, and return it with the names of its fields that this version does not know.

    Raises: ValueError, naming the file and the field, for one that is not such a plan; OSError for one that is missing
    or cannot be opened.
    """
    remedy = "start the sweep again: it rewrites this file and reuses the finished runs"
    return read(path, SweepFile, SWEEP_SCHEMA, remedy)


def read_judged(path: str | Path) -> tuple[JudgedScores, list[str]]:
    """Read the scores of a judge, and return them with the names of the fields that this version does not know.

    Raises: as `read_sweep`.
    """
    return read(
        path, JudgedScores, remedy="delete it and repeat the sweep with its judge: the answers and judgments are kept"
    )


def read_progress(path: str | Path) -> Progress:
    """Read the progress of a run.

    Raises: as `read_sweep`.
    """
    return read(path, Progress)[0]


def read_course(path: str | Path) -> tuple[CourseRecord, list[str]]:
    """Read the record of a course run, and return it with the names of its fields that this version does not know.

    Raises: as `read_sweep`; also for a notebook that ran without a digest, and for one notebook more or less than asked
    for.
    """
    remedy = "delete it, or its folder, to begin anew"
    record, unknown = read(path, CourseRecord, remedy=remedy)
    if len(record.notebooks) != len(record.sources):
        reason = f"has {len(record.notebooks)} notebooks, expected {len(record.sources)}, as in sources"
        raise FileError(path, reason, remedy=remedy)
    for entry in record.notebooks:
        if entry["status"] == "ok" and "digest" not in entry:
            raise FileError(path, f"lacks digest of the finished notebook {entry['name']}", remedy=remedy)
    return record, unknown
