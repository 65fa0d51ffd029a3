"""The files of a sweep beside its records: its plan, the progress of runs, and why a run failed."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback

from .. import files, results, run_files, training
from ..escaping import terminal
from ..recipes import Plan, Recipe
from ..run_files.ownership import BusyError, owned

SCHEMA = 1
FOLDERS = ("failed", "sweeps", "unreadable")  # beside those of the runs, which `training.check` looks at


class SweepError(ValueError):
    """A reason why a sweep cannot begin. Nothing has run."""


def write_plan(plan: Plan, folder: Path, chosen: Sequence[dict[str, Any]] = ()) -> Path:
    """Write which run belongs to which cell, also for cells that are not run this time. Tables are made from this file.

    Further seeds of an earlier plan are kept if it has the same settings. Any other earlier plan is replaced.

    Args:
        plan: the plan.
        folder: its output folder.
        chosen: what was tried in each grid, and what was chosen.

    Raises: SweepError if a folder is in the file's place.
    """
    path = folder / "sweeps" / f"{plan.name}.json"
    if path.is_dir():
        raise SweepError(f"{path} is a folder, and the plan of the sweep belongs there; move it away")
    cells = [
        {
            "row": cell.row,
            "column": cell.column,
            "task": cell.task,
            "printed_task": cell.column in plan.printed_columns,
            "label": cell.label,
            "seed": cell.seed,
            "run": cell.name,
        }
        for cell in plan.listed
    ]
    earlier_cells = _further_seeds(path, cells)
    content = {
        "schema": SCHEMA,
        "name": plan.name,
        "table": plan.table,
        "profile": plan.profile,
        "seeds": len({cell["seed"] for cell in cells + earlier_cells}),
        "statistic": plan.statistic,
        "printed_model": plan.printed_model,
        "started": now(),
        "commit": results.commit(),
        "code": results.code_version(),
        "cells": cells + earlier_cells,
        "left_out": list(plan.left_out),
        "grids": list(chosen),
    }
    files.write_atomically(path, json.dumps(content, indent=1) + "\n")
    return path


def _further_seeds(path: Path, cells: list[dict]) -> list[dict]:
    """Return cells of an earlier plan with seeds that the new one lacks, if all shared cells are the same runs."""
    if not path.exists():
        return []
    try:
        earlier, _ = run_files.read_sweep(path)
    except ValueError as error:  # a damaged plan is replaced
        tqdm.write(terminal(f"{error}\n  it is replaced, and keeps no further seeds"), file=sys.stderr)
        return []
    old = {(cell.row, cell.column, cell.seed): asdict(cell) for cell in earlier.cells}
    new = {(cell["row"], cell["column"], cell["seed"]): cell for cell in cells}
    if any(old[key]["run"] != new[key]["run"] for key in old.keys() & new.keys()) or not old.keys() & new.keys():
        return []
    return [cell for key, cell in old.items() if key not in new]  # in the order of the earlier file


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold an output folder for one sweep at a time. The lock ends with the process.

    Raises: SweepError if another sweep uses the folder, with its host and process, or if it cannot be written to.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in (folder / name for name in FOLDERS):
                if os.path.lexists(path) and not path.is_dir():
                    raise NotADirectoryError(f"{path} is not a folder")
            stack.enter_context(owned(folder / ".sweep.lock"))
        except BusyError as busy:
            raise SweepError(
                f"another sweep is running in {folder} ({busy}); wait for its end, or give another output folder"
            ) from None
        except OSError as error:
            raise SweepError(f"cannot write in {folder}: {error}; give another output folder") from error
        yield


def write_result(recipe: Recipe, text: str) -> Path:
    """Write the record of a run on another machine. It lists the files of the weights only if they are here, too."""
    content = json.loads(text)
    if not training.weights_of(recipe).is_dir():
        content["weights"] = {}
    path = results.path_of(recipe.name, recipe.output_dir)
    return files.write_atomically(path, json.dumps(content, indent=1) + "\n")


def write_failure(recipe: Recipe, error: str, traceback: str, device: str) -> Path:
    """Record that a run failed, and why. A folder in the place of this record is moved aside."""
    path = results.failure_path(recipe.name, recipe.output_dir)
    if path.is_dir():
        set_aside(path)
    failure = results.Failure(
        name=recipe.name,
        settings=recipe.settings,
        error=error,
        traceback=traceback,
        finished=now(),
        **results.environment(device),
    )
    return results.write(failure, path)


def forget_failure(recipe: Recipe) -> None:
    """Delete the failure record of a run that has succeeded, if there is one."""
    path = results.failure_path(recipe.name, recipe.output_dir)
    if path.is_file():
        path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Move an unreadable record of a run aside instead of deleting it, and return its new path."""
    target = path.parents[1] / "unreadable" / f"{time.time_ns()}-{path.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return path.rename(target)


def progress_path(recipe: Recipe) -> Path:
    """Return the path of the file in which a run reports its progress."""
    return Path(recipe.output_dir) / "running" / f"{recipe.name}.json"


class ProgressFile(TrainerCallback):
    """Reports the progress of a run in a small file, which is removed when the run ends.

    Args:
        recipe: the run.
        every: least number of seconds between two reports.
    """

    def __init__(self, recipe: Recipe, every: float = 1.0) -> None:
        self.path, self.every, self.written = progress_path(recipe), every, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the number of steps, at most once in ``every`` seconds."""
        if time.monotonic() - self.written >= self.every and state.is_world_process_zero:
            self.written = time.monotonic()
            try:
                files.write_atomically(self.path, json.dumps({"step": state.global_step, "of": state.max_steps}))
            except OSError as error:
                if files.is_full(error):  # the checkpoints would not be written, either
                    raise
                # Only the bar shows the progress, so the run continues without it.
                warnings.warn(f"the progress of the run cannot be written: {error}", stacklevel=2)
                self.every = math.inf

    def remove(self) -> None:
        """Remove the file."""
        if self.path.is_file():
            self.path.unlink(missing_ok=True)


def fraction_done(recipe: Recipe) -> float:
    """Return how much of a run is done, from 0 to 1."""
    try:
        progress = run_files.read_progress(progress_path(recipe))
    except (OSError, ValueError):  # not begun, just ended, or not the file of a run: only the bar shows it
        return 0.0
    return min(1.0, progress.step / max(1, progress.of))


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
