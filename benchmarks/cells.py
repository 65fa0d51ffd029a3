"""Run the cells of a benchmark as a sweep: resumable, with a record for each run and an estimate of the time left."""

import sys
import time
from pathlib import Path

from circpeft import recipes, results, sweeps, tasks


def cell(
    task: str, label: str, rate: float, seed: int, folder: Path, head_rate: float = 0.0, **settings
) -> recipes.CellRecipe:
    """Return one run with the settings of the cpu profile, by default with one rate for the adapter and the head.

    Args:
        task: name of an embedded task.
        label: a method as `recipes.parse_method` reads it.
        rate: peak learning rate of the adapter.
        seed: the seed.
        folder: where the record goes.
        head_rate: peak learning rate of the head; 0 takes that of the adapter.
        settings: other fields of `Recipe`, instead of the profile's.
    """
    method, hyperparameters = recipes.parse_method(label)
    common = recipes.settings_of("cpu", tasks.get(task).kind, {"save_model": False, **settings})
    rates = {"learning_rate": rate, "head_learning_rate": head_rate or rate}
    place = {"output_dir": str(folder.resolve()), "row": f"{label} at {rate:g}", "column": task}
    return recipes.CellRecipe(task, method, hyperparameters=hyperparameters, seed=seed, **{**common, **rates}, **place)


def run(name: str, cells: list[recipes.CellRecipe], workers: int = 1) -> sweeps.Outcome:
    """Run the cells that have no record yet. After each, print on stderr how many are left, and for how long.

    Args:
        name: name of the sweep, in its output folder.
        cells: the runs, in the order in which they start.
        workers: number of runs at the same time.

    Raises: what `sweeps.run_sweep` raises. A run that fails is recorded there, and the others continue.
    """
    seeds = len({run.seed for run in cells})
    plan = recipes.Plan(name, "", "cpu", seeds, "mean", False, tuple(cells), listed=tuple(cells))
    known = sum(results.path_of(run.name, run.output_dir).exists() for run in cells)
    print(f"{name}: {len(cells)} runs, {known} of them on record", file=sys.stderr, flush=True)
    started, ended = time.perf_counter(), []

    def on_end(done: sweeps.Done, recipe: recipes.Recipe) -> None:
        ended.append(done.name)
        left = max(0, len(cells) - known - len(ended))
        minutes = (time.perf_counter() - started) / len(ended) * left / 60
        print(f"  {left} of {len(cells)} runs left, about {minutes:.0f} minutes", file=sys.stderr, flush=True)

    outcome = sweeps.run_sweep(plan, workers=workers, on_end=on_end)
    for run_name, error in outcome.failed.items():
        print(f"failed: {run_name}: {error}", file=sys.stderr, flush=True)
    return outcome


def read(folders: list[Path]) -> list[results.Result]:
    """Read all records of the folders. Name on stderr those that other training code made: it may have other defaults.

    Raises: ValueError, naming the file, for one that is not a record.
    """
    found = [result for folder in folders for result in results.read_all(folder)]
    for result in found:
        if result.code != results.code_version():
            run = f"{result.task} {result.label} at {result.settings['learning_rate']:g}, seed {result.seed}"
            print(f"made by other training code (commit {result.commit}): {run}", file=sys.stderr)
    return found
