"""The runs that the repository keeps on record. Notebook 12 shows them beside the reader's own."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd

from .. import report, results
from ..report import Found, Run
from ..results import Result

FOLDER = results.ROOT / "benchmarks" / "results"
LISTS = ("entailment.json", "digits.json", "word_problems.json")  # one file per task, with a list of records
SINGLE = "methods"  # a folder with one record per file
YOURS = "yours"  # the mark of the reader's own runs
# Values of the facts that some of these records lack.
UNKNOWN = {
    "start_score": math.nan,
    "tokens_per_second": math.nan,
    "flops_per_token": None,
    "base_flops_per_token": None,
}


def read(folder: Path = FOLDER) -> Found:
    """Return the runs that the repository keeps on record; none if the folder is not at hand.

    A record of `SINGLE` names its data in ``data_name``, which becomes the task of the run.

    Args:
        folder: where the records are.

    Raises: ValueError, naming the file, for one that is not a list of records, or not a record.
    """
    runs = []
    for path in [folder / name for name in LISTS] + sorted((folder / SINGLE).glob("*.json")):
        if path.is_file():
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                runs += [_run(row, path) for row in (data if path.name in LISTS else [data])]
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"{path} is not a record of runs: {error}; restore it with git checkout") from error
    return Found(folder, tuple(runs))


def _run(row: dict, path: Path) -> Run:
    task = row.get("data_name", row["task"])
    known = {field.name: row[field.name] for field in fields(Result) if field.name in row}
    record = Result(**{**UNKNOWN, **known, "task": task, "settings": {**row["settings"], "task": task}})
    return Run(f"{task}-{record.label}-s{record.seed}", path.parent, record)


def beside(own: Found, repository: Found) -> Found:
    """Return your own runs, marked `YOURS`, and after them those of the repository.

    >>> own, repository = Found(Path("runs")), Found(Path("records"))
    >>> beside(own, repository).folder.name
    'runs'
    """
    marked = tuple(replace(run, mark=YOURS) for run in own.runs)
    return replace(own, runs=marked + repository.runs)


def runs_table(found: Found) -> pd.DataFrame:
    """Return the table of `report.runs_table` for the runs of `beside`, with a first column ``source``.

    Its values are "yours" and "repository".
    """
    table = report.runs_table(found)
    return table.assign(source=[run.mark or "repository" for run in found.runs])[["source", *table.columns]]


def summary(found: Found) -> pd.DataFrame:
    """Return one row per source, task, model, number of training rows and number of epochs, with its methods and runs.

    Args:
        found: the runs, from `beside`.
    """
    counts: dict[tuple, list[Run]] = {}
    for run in found.runs:
        record = run.result
        key = (run.mark or "repository", record.task, record.settings["model"], record.metric)
        counts.setdefault((*key, record.rows["train"], record.settings["epochs"]), []).append(run)
    rows = [(*key, len({run.result.label for run in runs}), len(runs)) for key, runs in counts.items()]
    names = ["source", "task", "model", "metric", "training rows", "epochs", "methods", "runs"]
    return pd.DataFrame(rows, columns=names)


def described(repository: Found) -> str:
    """Return a line about the repository's runs, or about their absence.

    >>> described(Found(Path("nowhere")))
    "The repository's records are not at hand (no runs in nowhere): only your runs are shown."
    """
    if not repository.runs:
        return f"The repository's records are not at hand (no runs in {repository.folder}): only your runs are shown."
    tasks = len({run.result.task for run in repository.runs})
    return f"{repository.folder}: {len(repository.runs)} runs of {tasks} tasks, the repository's own records."
