"""The parts of benchmarks/evidence.py that train: estimate, sweep and record."""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import evidence_cells
from evidence_claims import comparisons as comparisons  # what benchmarks/evidence.py calls of each part's module
from evidence_options import Options
from evidence_pages import figure as figure
from evidence_pages import page_text as page_text

from circpeft import recipes, results, sweeps

RECORDS = results.ROOT / "benchmarks" / "results"
# Seconds of a run without its training: loading, the FLOPs, and two evaluations on the test rows.
START_SECONDS = 10.0
# Seconds for a row and an epoch, in milliseconds, where no record has the method: c3a-peft takes 2.5 times as long as
# C3A on the pairs of SST-2 and MRPC (benchmarks/results/methods).
SLOWER = {"c3a-peft": ("c3a", 2.5)}
# Validation rows of each task, which are scored after each epoch.
VALIDATION = {"entailment": 800, "word_problems": 200, "digits": 537}


class OutOfTime(Exception):
    """The time limit has passed. What has finished is on record."""


def recorded_speeds(folder: Path = RECORDS) -> dict[tuple[str, str], float]:
    """Return the seconds for one row and epoch on one thread, by task and method, from the records of the tasks.

    The fastest record counts: a busy machine makes a run slower, never faster.
    """
    speeds: dict[tuple[str, str], float] = {}
    for task in evidence_cells.MODELS:
        for row in json.loads((folder / f"{task}.json").read_text(encoding="utf-8")):
            if row["device"] == "CPU, 1 threads" or (row["method"] == "head" and row["device"].startswith("CPU")):
                key = task, row["method"]
                speed = row["seconds"] / (row["rows"]["train"] * row["settings"]["epochs"])
                speeds[key] = min(speed, speeds.get(key, speed))
    return speeds


def seconds_of(cell: evidence_cells.Cell, speeds: dict[tuple[str, str], float]) -> float:
    """Return an estimate of a run's seconds on one thread.

    Args:
        cell: the run. The backward pass ends at the lowest adapted layer, so a run on a few layers takes less.
        speeds: from `recorded_speeds`.
    """
    recipe, task = cell.recipe, cell.recipe.task
    other, factor = SLOWER.get(recipe.method, (recipe.method, 1.0))
    depth = cell.place["depth"] / evidence_cells.LAYERS[task] if "depth" in cell.place else 1.0
    forward, all_layers = speeds[task, "head"], speeds[task, other] * factor
    rows = min(recipe.max_train or evidence_cells.ROWS[task], evidence_cells.ROWS[task])
    # The speeds include one evaluation for each pass over all rows; runs on fewer rows have more of them.
    evaluation = forward * VALIDATION[task] * (1 - rows / evidence_cells.ROWS[task])
    return START_SECONDS + recipe.epochs * (rows * (forward + (all_layers - forward) * depth) + evaluation)


def unique(cells: Iterable[evidence_cells.Cell]) -> list[evidence_cells.Cell]:
    """Return the cells without those that are the same run as an earlier one."""
    first: dict[str, evidence_cells.Cell] = {}
    for cell in cells:
        first.setdefault(cell.recipe.name, cell)
    return list(first.values())


def to_do(cells: list[evidence_cells.Cell], kept: frozenset[str] = frozenset()) -> list[evidence_cells.Cell]:
    """Return the cells without a record of the present code, except the runs named in ``kept``."""
    missing = []
    for cell in cells:
        if cell.recipe.name in kept:
            continue
        path = results.path_of(cell.recipe.name, cell.recipe.output_dir)
        try:
            known = path.exists() and results.read(path).code == results.code_version()
        except ValueError:  # the sweep reports it, moves it aside, and repeats the run
            known = False
        if not known:
            missing.append(cell)
    return missing


def counts(part: str, options: Options) -> tuple[int, int, float]:
    """Return the number of runs of a part, how many of them are missing, and the estimated minutes for those."""
    cells = unique(evidence_cells.planned(part, options.folder, options.seeds, options.smoke))
    missing, speeds = to_do(cells, options.kept), recorded_speeds()
    return len(cells), len(missing), sum(seconds_of(cell, speeds) for cell in missing) / options.workers / 60


def train(
    part: str, cells: list[evidence_cells.Cell], options: Options, seconds: dict[str, float] | None = None
) -> None:
    """Train what has no record yet. After each run, print on stderr how many are left, and for how long.

    Args:
        part: name of the part.
        cells: its runs.
        options: how to run them.
        seconds: estimated seconds of each run by its name; by default from `seconds_of`.

    Raises: OutOfTime after a run that ends beyond the time limit. Runs at work continue from their last epoch next
    time. Also what `sweeps.run_sweep` raises.
    """
    runs = tuple(cell.recipe for cell in cells)
    plan = recipes.Plan(part, "", "cpu", len({run.seed for run in runs}), "mean", False, runs, listed=runs)
    speeds, started = recorded_speeds(), time.monotonic()
    left = {
        cell.recipe.name: seconds[cell.recipe.name] if seconds else seconds_of(cell, speeds) for cell in to_do(cells)
    }
    total = sum(left.values())
    print(f"{part}: {len(cells)} runs, {len(cells) - len(left)} of them on record", file=sys.stderr, flush=True)

    def on_end(done: sweeps.Done, recipe: recipes.Recipe) -> None:
        left.pop(done.name, None)
        ended = total - sum(left.values())
        pace = (time.monotonic() - started) / ended if ended else 1 / options.workers
        minutes = pace * sum(left.values()) / 60
        print(f"  {len(left)} runs of {part} left, about {minutes:.0f} minutes", file=sys.stderr, flush=True)
        if options.is_over and left:
            raise OutOfTime(f"{len(left)} runs of {part} are left; repeat the command to continue")

    outcome = sweeps.run_sweep(plan, workers=options.workers, on_end=on_end)
    for name, error in outcome.failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr, flush=True)


def rows_of(cells: Iterable[evidence_cells.Cell]) -> list[dict]:
    """Return a row for each cell that has a record of the present code, in the order of the cells."""
    rows = []
    for cell in cells:
        path = results.path_of(cell.recipe.name, cell.recipe.output_dir)
        if path.exists() and (result := results.read(path)).code == results.code_version():
            rows.append(row_of(cell.place, cell.recipe.name, asdict(result)))
    return rows


def row_of(place: dict, run: str, record: dict) -> dict:
    """Return the row of a run: its place in the tables, its scores, and where they come from."""
    kept = ("label", "seed", "metric", "score", "test_score", "start_score", "best_epoch", "trainable_parameters")
    where = ("rows", "seconds", "device", "versions", "commit", "code", "data", "finished")
    rates = {name: record["settings"][name] for name in ("learning_rate", "head_learning_rate")}
    curve = {"epochs": [epoch["score"] for epoch in record["epochs"]]}
    found = {name: record[name] for name in (*kept, *where)}
    train_rows = found.pop("rows")
    return {**place, "run": run, **found, **rates, **curve, "split_rows": train_rows}


def run(part: str, options: Options, earlier: dict | None = None) -> dict:
    """Train what is missing of a part, until the time limit, and return its record.

    Args:
        part: name of the part.
        options: how to run it.
        earlier: the part's record so far. Its rows stay if they belong to the plan and are not made again.
    """
    cells = evidence_cells.planned(part, options.folder, options.seeds, options.smoke)
    new = [cell for cell in unique(cells) if cell.recipe.name not in options.kept]
    try:
        train(part, new, options)
    except OutOfTime as stop:
        print(stop, file=sys.stderr, flush=True)
    return record_of(part, cells, rows_of(cells), earlier)


def record_of(part: str, cells: list[evidence_cells.Cell], new: list[dict], earlier: dict | None) -> dict:
    """Return a part's record: new rows, and those of an earlier record for the other runs of the plan."""
    rows = {row["run"]: row for row in (earlier or {}).get("rows", [])} | {row["run"]: row for row in new}
    order = list(dict.fromkeys(cell.recipe.name for cell in cells))
    kept = [rows[name] for name in order if name in rows]
    devices = sorted({row["device"] for row in kept})
    versions = [dict(entry) for entry in dict.fromkeys(tuple(sorted(row["versions"].items())) for row in kept)]
    return {"part": part, "planned": len(order), "devices": devices, "versions": versions, "rows": kept}
