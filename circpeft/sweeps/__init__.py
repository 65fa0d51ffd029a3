"""Whole tables: every run of a plan, resumed where it was interrupted, here or on a cluster."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from .. import results, training
from ..recipes import Plan, Recipe
from . import record
from .local import run_locally
from .work import Done


@dataclass
class Outcome:
    """What a sweep ended with: names of its runs, and the errors of those that failed."""

    folder: Path
    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
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

    Raises: ValueError for a folder that another sweep holds, and, before anything runs, the first error of the plan's
    runs if no run can be made at all.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers!r}")
    started = time.perf_counter()
    runs = {cell.name: cell for cell in plan.cells}
    folder = Path(plan.cells[0].output_dir)
    outcome = Outcome(folder)
    with record.alone(folder):
        pending = _pending(runs.values(), outcome)
        refused = _refused(pending)
        if pending and len(refused) == len(pending) and not outcome.skipped:
            raise next(iter(refused.values()))
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
            for event in _runner(left, workers, ray, gpus, folder):
                if isinstance(event, Done):
                    _ended(event, runs[event.name], outcome, bar, told, progress)
                else:
                    ended = len(outcome.skipped) + len(outcome.finished) + len(outcome.failed)
                    bar.n = ended + sum(map(record.share_done, event))
                    bar.refresh()
    outcome.seconds = time.perf_counter() - started
    return outcome


def _runner(left: list[Recipe], workers: int, ray: str, gpus: float | None, folder: Path):
    if not left:
        return iter(())
    if ray:
        from .cluster import run_on_ray

        return run_on_ray(left, ray, gpus)
    return run_locally(left, workers, folder / "sweeps" / "workers.log")


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
            fingerprints[source] = training.data_of(recipe)[2]
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


def _refused(pending: list[Recipe]) -> dict[str, Exception]:
    """The runs that cannot be made, each with its reason."""
    try:
        training.check(pending)
        return {}
    except (ValueError, TypeError, OSError):
        pass  # of which run, and whether of others too, is looked at one by one
    refused, known = {}, {}
    for recipe in pending:
        key = (recipe.task, recipe.data_dir, recipe.model, recipe.label, str(recipe.target_modules))
        if key not in known:
            known[key] = None
            try:
                training.check([recipe])
            except (ValueError, TypeError, OSError) as error:
                known[key] = error
        if known[key] is not None:
            refused[recipe.name] = known[key]
    return refused


def _ended(done: Done, recipe: Recipe, outcome: Outcome, bar: tqdm, told: Callable | None, progress: bool) -> None:
    if done.state == "finished":
        if done.record:  # made on a machine that has not this folder
            path = results.path_of(recipe.name, recipe.output_dir)
            results.write_atomically(path, done.record)
        record.forget_failure(recipe)
        outcome.finished.append(done.name)
        end = f"test {done.metric} {done.test_score:.3f}, {done.seconds:.0f} s"
    else:
        record.write_failure(recipe, done.error, done.traceback, training.device_name())
        outcome.failed[done.name] = done.error
        end = f"failed: {done.error}"
    name = f"{getattr(recipe, 'row', '') or recipe.label} | {getattr(recipe, 'column', '') or recipe.task}"
    if progress:
        tqdm.write(f"{name} | seed {recipe.seed} | {end}", file=sys.stderr)
    bar.n = len(outcome.skipped) + len(outcome.finished) + len(outcome.failed)
    bar.refresh()
    if told is not None:
        told(done, recipe)


def summary(outcome: Outcome) -> str:
    """A sweep's end as one line of JSON.

    >>> print(summary(Outcome(Path("runs/x"), finished=["a"], failed={"b": "no memory"})))
    {"folder": "runs/x", "finished": 1, "skipped": 0, "failed": {"b": "no memory"}, "seconds": 0.0}
    """
    made = {"folder": str(outcome.folder), "finished": len(outcome.finished), "skipped": len(outcome.skipped)}
    return json.dumps(made | {"failed": outcome.failed, "seconds": round(outcome.seconds, 1)})
