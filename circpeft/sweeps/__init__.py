"""Whole tables: every run of a plan, resumed where it was interrupted, here or on a cluster."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm.auto import tqdm

from .. import files, results, training
from ..recipes import CellRecipe, Plan, Recipe
from . import record
from .local import run_locally
from .record import Stopped, SweepError
from .work import Done


@dataclass
class Outcome:
    """What a sweep ended with: names of its runs, the errors of those that failed, and what nobody can run, and why."""

    folder: Path
    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def run_sweep(
    plan: Plan,
    *,
    workers: int = 1,
    ray: str = "",
    gpus: float | None = None,
    progress: bool = True,
    told: Callable[[Done, Recipe], None] | None = None,
) -> Outcome:
    """Run everything in a plan that is not on record under the same settings, code and data.

    What is finished is never run again; an interrupted run goes on from its last epoch; a run that fails is recorded
    under ``failed/`` and stops none of the others (the next sweep tries it again); a file in a record's place that is
    none is moved to ``unreadable/``, and its run repeated.

    Args:
        plan: from `recipes.plan_table` or `recipes.plan_file`.
        workers: runs at the same time on this machine.
        ray: address of a Ray cluster that is to run it instead: "auto", "local", or "ray://host:10001".
        gpus: share of a GPU that a run takes on the cluster; None takes a whole one where there are GPUs.
        progress: a bar with the time left.
        told: called with every end of a run.

    Raises: SweepError, before anything runs, for a folder that another sweep holds or that cannot be written to, a
    cluster that does not answer or has not what is asked for, options that do not go together, and where no run can be
    made at all, with the first one's error; Stopped where the disk is full: what is finished stays.
    """
    if workers < 1:
        raise SweepError(f"workers must be at least 1, got {workers!r}")
    if ray and workers > 1:
        raise SweepError(f"workers={workers} are of this machine, and the cluster at {ray!r} has its own: leave it out")
    if gpus is not None and not ray:
        raise SweepError(f"gpus={gpus:g} is the share of a run on a cluster: give ray, too, or leave it out")
    started = time.perf_counter()
    runs = {cell.name: cell for cell in plan.cells}
    folder = Path(plan.cells[0].output_dir)
    outcome = Outcome(folder, left_out=list(plan.left_out))
    with record.alone(folder), _runner(workers, ray, gpus, folder) as runner, _writing(folder):
        pending = _pending(runs.values(), outcome)
        refused = _refused(pending, bool(ray))
        if pending and len(refused) == len(pending) and not outcome.skipped:
            first = next(iter(refused.values()))
            raise SweepError(str(first) or type(first).__name__) from first
        record.write_plan(plan, folder)
        with tqdm(
            total=len(runs),
            initial=len(outcome.skipped),
            desc=plan.name,
            unit="run",
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} runs [{elapsed}<{remaining}]",
            disable=None if progress else True,  # None: where there is no terminal
            file=sys.stderr,
        ) as bar:
            for recipe in pending:
                if recipe.name in refused:
                    error = refused[recipe.name]
                    _ended(Done(recipe.name, "failed", error=str(error)), recipe, outcome, bar, told, progress)
            left = [recipe for recipe in pending if recipe.name not in refused]
            for event in runner(left):
                if isinstance(event, Done):
                    _ended(event, runs[event.name], outcome, bar, told, progress)
                else:
                    ended = len(outcome.skipped) + len(outcome.finished) + len(outcome.failed)
                    bar.n = ended + sum(map(record.share_done, event))
                    bar.refresh()
    outcome.seconds = time.perf_counter() - started
    return outcome


@contextmanager
def _runner(workers: int, ray: str, gpus: float | None, folder: Path) -> Iterator[Callable]:
    """What runs recipes, here or on a cluster."""
    if ray:
        from .cluster import connected

        with connected(ray, gpus) as runner:
            yield runner
    else:
        yield lambda left: run_locally(left, workers, folder / "sweeps" / "workers.log")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say what is to be done where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise Stopped(
            f"cannot write in {folder} any more ({error}): what is finished stays; make room, and give the same "
            f"command again"
        ) from error


def _pending(recipes: Iterable[Recipe], outcome: Outcome) -> list[Recipe]:
    """The runs that are not on record."""
    fingerprints: dict[tuple, str] = {}
    pending = []
    for recipe in recipes:
        path = results.path_of(recipe.name, recipe.output_dir)
        if not path.exists():
            pending.append(recipe)
            continue
        source = (recipe.task, recipe.data_dir, recipe.max_train, recipe.max_eval)
        if source not in fingerprints:
            try:
                fingerprints[source] = training.data_of(recipe)[2]
            except Exception:  # of one task: it is looked at, with all that has to run, in a moment
                fingerprints[source] = ""
        try:
            known = training.recorded(recipe, fingerprints[source])
        except ValueError as error:
            tqdm.write(f"{error}\n  moved to {record.set_aside(recipe)}; it runs again", file=sys.stderr)
            known = None
        if known is None:
            pending.append(recipe)
        else:
            record.forget_failure(recipe)
            outcome.skipped.append(recipe.name)
    return pending


def _refused(pending: list[Recipe], elsewhere: bool) -> dict[str, Exception]:
    """The runs that cannot be made, each with its reason; ``elsewhere``, what depends on the device is left out."""
    looked = {r.name: replace(r, precision="float32", quantization="") if elsewhere else r for r in pending}
    try:
        training.check(list(looked.values()))
        return {}
    except Exception:  # of which run, and whether of others too, is looked at one by one
        logging.getLogger(__name__).debug("looking for the run that cannot be made", exc_info=True)
    refused, known = {}, {}
    for name, recipe in looked.items():
        key = (recipe.task, recipe.data_dir, recipe.model, recipe.label, str(recipe.target_modules))
        if key not in known:
            known[key] = None
            try:
                training.check([recipe])
            except Exception as error:  # it is that run's outcome, and recorded as such
                known[key] = error
        if known[key] is not None:
            refused[name] = known[key]
    return refused


def _ended(done: Done, recipe: CellRecipe, outcome: Outcome, bar: tqdm, told: Callable | None, progress: bool) -> None:
    if done.state == "finished":
        if done.record:  # made on a machine that has not this folder
            path = results.path_of(recipe.name, recipe.output_dir)
            files.write_atomically(path, done.record)
        record.forget_failure(recipe)
        outcome.finished.append(done.name)
        end = f"test {done.metric} {done.test_score:.3f}, {done.seconds:.0f} s"
    else:
        if done.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        record.write_failure(recipe, done.error, done.traceback, done.device or "not run, or lost")
        outcome.failed[done.name] = done.error
        end = f"failed: {done.error}"
    if progress:
        tqdm.write(f"{recipe.row} | {recipe.column} | seed {recipe.seed} | {end}", file=sys.stderr)
    bar.n = len(outcome.skipped) + len(outcome.finished) + len(outcome.failed)
    bar.refresh()
    if told is not None:
        told(done, recipe)


def summary(outcome: Outcome) -> str:
    """A sweep's end as one line of JSON.

    >>> print(summary(Outcome(Path("runs/x"), finished=["a"], failed={"b": "no memory"})))
    {"folder": "runs/x", "finished": 1, "skipped": 0, "failed": {"b": "no memory"}, "left_out": [], "seconds": 0.0}
    """
    made = {"folder": str(outcome.folder), "finished": len(outcome.finished), "skipped": len(outcome.skipped)}
    made |= {"failed": outcome.failed, "left_out": outcome.left_out, "seconds": round(outcome.seconds, 1)}
    return json.dumps(made)
