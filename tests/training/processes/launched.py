"""The script that a launcher starts in each process: it runs recipes, and writes the outcome of each.

Usage: ``launched.py FOLDER``. ``FOLDER/jobs.json`` has for each job the settings of its recipe, and where to stop.
"""

import gc
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import datasets
from transformers import Trainer

from circpeft import training
from circpeft.recipes import Recipe
from circpeft.training import distributed

evaluate, step = Trainer.evaluate, Trainer.training_step
steps: list[list[str]] = []


def until(number: int, kill: bool):
    """Return an evaluation that interrupts the run, or kills this process, the n-th time."""
    evaluations = []

    def breaking(self, *arguments, **options):
        evaluations.append(self.state.global_step)
        if len(evaluations) == number:
            if kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
        return evaluate(self, *arguments, **options)

    return breaking


def counting(self, model, *arguments, **options):
    """Make a training step, and note the types of the model and its parameters."""
    steps.append([type(model).__name__, type(next(model.parameters())).__name__])
    return step(self, model, *arguments, **options)


def main(folder: Path) -> None:
    """Run the jobs of a folder, one after the other."""
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    gc.collect()
    gc.freeze()  # looking through the libraries for garbage would take half the time of a run
    for name, job in json.loads((folder / "jobs.json").read_text()).items():
        del steps[:]
        Trainer.training_step = counting
        Trainer.evaluate = until(job["until"], job.get("kill", False)) if "until" in job else evaluate
        try:
            outcome = asdict(training.run(Recipe(**job["recipe"])))
        except (ValueError, KeyboardInterrupt) as error:
            outcome = {"error": f"{type(error).__name__}: {error}"}
        path = folder / f"{name}.{os.environ['RANK']}.json"
        path.write_text(json.dumps({**outcome, "steps": steps}))


def native_threads() -> list[str]:
    """Return the names of all threads of this process; Python itself knows only its own."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    distributed.leave()
    Path(sys.argv[1], f"threads.{os.environ['RANK']}.json").write_text(json.dumps(native_threads()))
    if distributed.sharded():  # torch's caches keep the group's threads, which sometimes abort Python as it ends
        sys.stdout.flush()
        os._exit(0)
