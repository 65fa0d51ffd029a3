"""What a sweep leaves on disk beside its records: its plan, what runs now, and why a run failed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from .. import files, results
from ..recipes import Plan, Recipe

SCHEMA = 1


class SweepError(ValueError):
    """What a sweep cannot begin with; nothing has run."""


class Stopped(OSError):
    """A sweep cannot go on, because it cannot write; what is finished stays."""


def write_plan(plan: Plan, folder: Path) -> Path:
    """Write which run stands for which cell: what tables are made from, also of cells that are not run this time.

    Further seeds of an earlier plan stay in it where that had the same settings; any other earlier plan goes.
    """
    path = folder / "sweeps" / f"{plan.name}.json"
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
    further = _further(path, cells)
    row = {
        "schema": SCHEMA,
        "name": plan.name,
        "table": plan.table,
        "profile": plan.profile,
        "seeds": len({cell["seed"] for cell in cells + further}),
        "statistic": plan.statistic,
        "printed_model": plan.printed_model,
        "started": now(),
        "commit": results.commit(),
        "code": results.code_version(),
        "cells": cells + further,
        "left_out": list(plan.left_out),
    }
    files.write_atomically(path, json.dumps(row, indent=1) + "\n")
    return path


def _further(path: Path, cells: list[dict]) -> list[dict]:
    """Cells of an earlier plan with seeds that the new one has not, if all that both have are the same runs."""
    if not path.exists():
        return []
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))["cells"]
        old = {(cell["row"], cell["column"], cell["seed"]): cell for cell in earlier}
    except (ValueError, KeyError, TypeError):  # a damaged plan, which the new one replaces
        return []
    new = {(cell["row"], cell["column"], cell["seed"]): cell for cell in cells}
    if any(old[key]["run"] != new[key]["run"] for key in old.keys() & new.keys()) or not old.keys() & new.keys():
        return []
    return [old[key] for key in old.keys() - new.keys()]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold an output folder for one sweep at a time; the lock ends with the process.

    Raises: SweepError where another sweep is at work in it, or it cannot be written to.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.locked(folder / ".sweep.lock"))
        except BlockingIOError:
            raise SweepError(
                f"another sweep is at work in {folder}: wait for its end, or give another output folder"
            ) from None
        except OSError as error:
            raise SweepError(f"cannot write in {folder}: {error}; give another output folder") from error
        yield


def write_failure(recipe: Recipe, error: str, traceback: str, device: str) -> Path:
    """Record that a run failed, and why."""
    failure = results.Failure(
        name=recipe.name,
        settings=recipe.settings,
        error=error,
        traceback=traceback,
        finished=now(),
        **results.environment(device),
    )
    return results.write(failure, results.failure_path(recipe.name, recipe.output_dir))


def forget_failure(recipe: Recipe) -> None:
    """A run that succeeded has not failed."""
    results.failure_path(recipe.name, recipe.output_dir).unlink(missing_ok=True)


def set_aside(recipe: Recipe) -> Path:
    """Move what lies in a record's place and is none out of the way, and keep it."""
    path = results.path_of(recipe.name, recipe.output_dir)
    target = Path(recipe.output_dir) / "unreadable" / f"{time.time_ns()}-{path.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return path.rename(target)


def running_path(recipe: Recipe) -> Path:
    """Where a run tells how far it is."""
    return Path(recipe.output_dir) / "running" / f"{recipe.name}.json"


class Steps(TrainerCallback):
    """Tells how far a run is, in a small file that goes when the run ends."""

    def __init__(self, recipe: Recipe, every: float = 1.0) -> None:
        self.path, self.every, self.told = running_path(recipe), every, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() - self.told >= self.every and state.is_world_process_zero:
            self.told = time.monotonic()
            files.write_atomically(self.path, json.dumps({"step": state.global_step, "of": state.max_steps}))

    def gone(self) -> None:
        """The run has ended."""
        self.path.unlink(missing_ok=True)


def share_done(recipe: Recipe) -> float:
    """How much of a run is done, from 0 to 1."""
    path = running_path(recipe)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # not begun, or just ended
        return 0.0
    return min(1.0, told["step"] / max(1, told["of"]))


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
