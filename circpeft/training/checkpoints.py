"""Checkpoints that are complete or not used: each has a manifest with the digests of its files, written last."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .. import files
from . import digests, distributed

MANIFEST = "manifest.json"
SCHEMA = 1
BASELINE = "baseline.json"  # beside the checkpoints; several processes read it when they resume
STATE = "trainer_state.json"


def finish(folder: Path) -> None:
    """Put a checkpoint on the disk and give it its manifest. Every process calls this; the first one writes."""
    process = distributed.state()
    process.wait_for_everyone()  # until all have written their parts
    files.sync_tree(folder)  # on each host
    process.wait_for_everyone()
    if process.is_main_process:
        listed = digests.digests(folder, leave_out=[MANIFEST])
        beside = folder.parent / BASELINE
        if distributed.is_shared() and beside.is_file():  # one process evaluates the baseline again
            listed[f"../{BASELINE}"] = digests.digest(beside)
        content = {"schema": SCHEMA, "step": step_of(folder), "files": listed}
        files.write_atomically(folder / MANIFEST, json.dumps(content, indent=1) + "\n")
        files.sync_folder(folder.parent)
    process.wait_for_everyone()


def clear(folder: Path) -> None:
    """Remove what is in the place of a checkpoint that is to be written. Every process calls this."""
    process = distributed.state()
    if process.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
    process.wait_for_everyone()


def remove_others(newest: Path, best: str | None) -> None:
    """Remove all checkpoints but the newest, the one before it, and the best one.

    The one before is for the case that the newest one is damaged. Every process calls this; the first one removes.
    """
    if not distributed.state().is_main_process:
        return
    before = [path for path in _all(newest.parent) if step_of(path) < step_of(newest)]
    kept = {newest, *before[:1], newest.parent / Path(best or newest).name}
    for path in _all(newest.parent):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def to_resume(folder: Path, name: str, best: bool) -> str | None:
    """Return the newest whole checkpoint in a run's folder, the same on every process; None if no checkpoint is whole.

    Each one that is not whole gets a warning of one line, which names the file and what is wrong with it.

    Args:
        folder: the run's folder of checkpoints.
        name: name of the run, for the warnings.
        best: whether the run ends with its best epoch, whose checkpoint is then needed, too.
    """
    first = distributed.state().is_main_process
    chosen, lines = distributed.from_first(_choose(folder, best) if first else (None, []))
    if lines and first:
        for line in lines:
            warnings.warn(f"{name}: {line}", stacklevel=2)
        end = f"continues from {Path(chosen).name}" if chosen else "begins anew, because no whole checkpoint is left"
        warnings.warn(f"{name} {end}", stacklevel=2)
    return chosen


def _choose(folder: Path, best: bool) -> tuple[str | None, list[str]]:
    """Return the newest whole checkpoint, and a line for each newer one."""
    lines: list[str] = []
    for path in _all(folder):
        found = faults(path) or (_faults_of_best(path) if best else [])
        if not found:
            return str(path), lines
        further = f", and {len(found) - 1} more" if len(found) > 1 else ""
        lines.append(f"{path.name} is not used: {found[0]}{further}")
    return None, lines


def faults(path: Path) -> list[str]:
    """Return what is wrong with a checkpoint, a short sentence for each file; empty for a whole one."""
    if not (path / MANIFEST).is_file():
        return [f"it was not finished, since it has no {MANIFEST}"]
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        schema, step, listed = manifest["schema"], manifest["step"], manifest["files"]
        if schema != SCHEMA or not isinstance(listed, Mapping) or STATE not in listed:
            raise ValueError
        found = digests.faults(path, listed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # cut, changed, or of another version
        return [f"{MANIFEST} is damaged"]
    return found if step == step_of(path) else [*found, f"it is of step {step!r}"]


def _faults_of_best(path: Path) -> list[str]:
    """Return what is wrong with the checkpoint of the best epoch, which a run from this checkpoint may end with."""
    best = json.loads((path / STATE).read_text(encoding="utf-8")).get("best_model_checkpoint")
    if not best or Path(best).name == path.name:
        return []
    return [f"its best epoch is {Path(best).name}, where {fault}" for fault in faults(path.parent / Path(best).name)]


def step_of(path: Path) -> int:
    """Return the step after which a checkpoint was written.

    >>> step_of(Path("runs/checkpoint-12"))
    12
    """
    return int(path.name.rpartition("-")[2])


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, whole or not, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=step_of, reverse=True)


class BestCheckpoint(TrainerCallback):
    """Finds the checkpoint of the best epoch again when the folder of the run was moved.

    The Trainer keeps its path. Without a folder there it would end with the last epoch instead.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the path in the present folder."""
        best = Path(str(args.output_dir), f"checkpoint-{state.best_global_step}")
        if best.is_dir():
            state.best_model_checkpoint = str(best)
