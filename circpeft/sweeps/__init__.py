"""Sweeps: all runs of a plan, resumed where they were interrupted, on this machine or on a cluster."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..escaping import terminal
from ..files import WriteError, explained
from ..recipes import CellRecipe, Plan, Recipe
from . import judged, record, search
from .in_turn import run_in_turn
from .judged import Judge
from .local import run_locally
from .pending import impossible, not_on_record
from .record import SweepError
from .work import Done, Events


@dataclass
class Outcome:
    """The outcome of a sweep.

    Attributes:
        folder: the output folder.
        finished: names of the runs that finished now.
        skipped: names of the runs that had a record before.
        failed: names of the runs that failed, each with its error.
        left_out: row, column and reason of the cells that cannot be run.
        chosen: for each grid its row, its column, the values that were tried with their scores, and those chosen.
        judged: the mean score of each run that a judge graded, by its name.
        not_judged: names of the runs that could not be judged, each with its error.
        seconds: duration of the sweep.
    """

    folder: Path
    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)
    chosen: list[dict[str, Any]] = field(default_factory=list)
    judged: dict[str, float] = field(default_factory=dict)
    not_judged: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ended(self) -> int:
        """Number of runs that are on record, finished or failed."""
        return len(self.skipped) + len(self.finished) + len(self.failed)


def run_sweep(
    plan: Plan,
    *,
    workers: int = 1,
    ray: str = "",
    gpus: float | None = None,
    judge: Judge | None = None,
    progress: bool = True,
    on_end: Callable[[Done, CellRecipe], None] | None = None,
) -> Outcome:
    """Run everything in a plan that is not on record under the same settings, code and data.

    A finished run is never repeated. An interrupted run continues from its last epoch. A failed run is recorded under
    ``failed/``; the others continue, and the next sweep tries it again. An unreadable record is moved to
    ``unreadable/``, and its run is repeated. A run that another process makes, such as `circpeft train`, takes its turn
    after the others.

    A grid is run first, with the first seed. Its best candidate on validation then gets the other seeds. The choice is
    made from the records, so a sweep that is repeated makes the same one.

    Args:
        plan: from `recipes.plan_table` or `recipes.plan_file`.
        workers: number of runs at the same time on this machine.
        ray: address of a Ray cluster to run on instead: "auto", "local", or "ray://host:10001".
        gpus: share of a GPU for each run on the cluster; None takes a whole one if the cluster has GPUs.
        judge: grades the answers of the cells of MT-Bench, after all runs (see `sweeps.judged`); None leaves their
            column to the loss.
        progress: whether to show a progress bar with the time left.
        on_end: function that is called at the end of each run.

    Raises: SweepError, before anything runs, for a folder that another sweep uses or that cannot be written to, a
    cluster that does not answer or lacks what a run needs, options that exclude each other, a grid without a validation
    split, or if no run is possible (with the first one's error). WriteError (see `circpeft.files`) for a full or
    read-only disk; what is finished stays.
    """
    if workers < 1:
        raise SweepError(f"workers must be at least 1, got {workers!r}")
    if ray and workers > 1:
        raise SweepError(
            f"workers={workers} is for this machine, but the cluster at {ray!r} has its own workers; leave it out"
        )
    if gpus is not None and not ray:
        raise SweepError(f"gpus={gpus:g} is the share of a run on a cluster; give ray as well, or leave it out")
    started = time.perf_counter()
    folder = Path(plan.cells[0].output_dir)
    outcome = Outcome(folder, left_out=list(plan.left_out))
    with record.hold(folder), _runner(workers, ray, gpus, folder) as runner, explained(folder):
        search.check(plan)
        questions = judged.check(plan, judge) if judge else []
        _run(plan, plan.cells, outcome, runner, bool(ray), progress, on_end)
        if plan.searches:
            plan, outcome.chosen = search.resolve(plan, {*outcome.finished, *outcome.skipped})
            for entry in outcome.chosen if progress else ():
                tqdm.write(terminal(search.described(entry)), file=sys.stderr)
            ended = {*outcome.finished, *outcome.skipped, *outcome.failed}
            others = [cell for cell in plan.cells if cell.name not in ended]
            _run(plan, others, outcome, runner, bool(ray), progress, on_end)
        if judge:
            _judge(plan, judge, questions, outcome, progress)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _run(
    plan: Plan,
    cells: Iterable[CellRecipe],
    outcome: Outcome,
    runner: Callable,
    remote: bool,
    progress: bool,
    on_end: Callable | None,
) -> None:
    """Run cells that are not on record, enter their ends into the outcome, and write the plan's file."""
    runs = {cell.name: cell for cell in cells}
    before = outcome.ended
    pending, known = not_on_record(runs.values())
    outcome.skipped += known
    refused = impossible(pending, remote)
    if pending and len(refused) == len(pending) and not outcome.skipped and not outcome.finished:
        first = next(iter(refused.values()))
        raise SweepError(str(first) or type(first).__name__) from first
    record.write_plan(plan, outcome.folder, outcome.chosen)
    with tqdm(
        total=before + len(runs),
        initial=outcome.ended,
        desc=terminal(plan.name),
        unit="run",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} runs [{elapsed}<{remaining}]",
        disable=None if progress else True,  # None shows the bar only on a terminal
        file=sys.stderr,
    ) as bar:
        for recipe in pending:
            if recipe.name in refused:
                failed = Done(recipe.name, "failed", error=str(refused[recipe.name]))
                _end(failed, runs[recipe.name], outcome, bar, on_end, progress)
        possible = [recipe for recipe in pending if recipe.name not in refused]
        # Closed by an error, too: its traceback, which a notebook keeps, would keep the workers alive.
        with closing(run_in_turn(runner, possible)) as events:
            for event in events:
                if isinstance(event, Done):
                    _end(event, runs[event.name], outcome, bar, on_end, progress)
                else:  # the runs that are at work
                    bar.n = outcome.ended + sum(map(record.fraction_done, event))
                    bar.refresh()


def _judge(plan: Plan, judge: Judge, questions: list, outcome: Outcome, progress: bool) -> None:
    """Have the finished cells of MT-Bench judged, and enter their scores into the outcome."""
    on_record = {*outcome.finished, *outcome.skipped}
    cells = {cell.name: cell for cell in plan.cells if cell.name in on_record and judged.is_judged(cell)}
    for name, cell in cells.items():
        try:
            outcome.judged[name] = judged.score(cell, judge, questions, progress)
        except (ValueError, FileNotFoundError, RuntimeError) as error:
            outcome.not_judged[name] = str(error)
        except PermissionError as error:  # every other request would be refused, too
            others = [other for other in cells if other not in outcome.judged and other not in outcome.not_judged]
            outcome.not_judged |= dict.fromkeys(others, str(error))
            break
        if progress:
            text = f"MT-Bench {outcome.judged[name]:.2f}" if name in outcome.judged else outcome.not_judged[name]
            tqdm.write(terminal(f"{cell.row} | {cell.column} | seed {cell.seed} | {text}"), file=sys.stderr)


@contextmanager
def _runner(workers: int, ray: str, gpus: float | None, folder: Path) -> Iterator[Callable[[list[Recipe]], Events]]:
    """Yield the function that runs recipes, here or on a cluster."""
    if ray:
        from .cluster import connected

        with connected(ray, gpus) as runner:
            yield runner
    else:
        yield lambda recipes: run_locally(recipes, workers, folder / "sweeps" / "workers.log")


def _end(done: Done, recipe: CellRecipe, outcome: Outcome, bar: tqdm, on_end: Callable | None, progress: bool) -> None:
    """Enter the end of a run into the outcome, its failure record and the progress bar."""
    if done.state == "finished":
        if done.record:  # from a machine that does not share this folder
            record.write_result(recipe, done.record)
        record.forget_failure(recipe)
        outcome.finished.append(done.name)
        line = f"test {done.metric} {done.test_score:.3f}, {done.seconds:.0f} s"
    else:
        if done.disk_full:
            raise WriteError(errno.ENOSPC, done.error)
        record.write_failure(recipe, done.error, done.traceback, done.device or "not run, or lost")
        outcome.failed[done.name] = done.error
        line = f"failed: {done.error}"
    if progress:
        tqdm.write(terminal(f"{recipe.row} | {recipe.column} | seed {recipe.seed} | {line}"), file=sys.stderr)
    bar.n = outcome.ended
    bar.refresh()
    if on_end is not None:
        on_end(done, recipe)


def summary(outcome: Outcome) -> str:
    """Return a sweep's outcome as one line of JSON.

    >>> print(summary(Outcome(Path("runs/x"), finished=["a"], failed={"b": "no memory"})))
    {"folder": "runs/x", "finished": 1, "skipped": 0, "failed": {"b": "no memory"}, "left_out": [], "seconds": 0.0}
    """
    row = {"folder": str(outcome.folder), "finished": len(outcome.finished), "skipped": len(outcome.skipped)}
    row |= {"failed": outcome.failed, "left_out": outcome.left_out, "seconds": round(outcome.seconds, 1)}
    row |= {"chosen": outcome.chosen} if outcome.chosen else {}
    judging = {"judged": outcome.judged, "not_judged": outcome.not_judged}
    row |= judging if any(judging.values()) else {}
    return json.dumps(row)
