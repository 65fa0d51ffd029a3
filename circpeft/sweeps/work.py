"""One run in a process of its own: what a worker does, on this machine or on a cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import psutil

from ..recipes import Recipe
from ..run_files.ownership import BusyError


@dataclass(frozen=True)
class Done:
    """The end of a run.

    Attributes:
        name: name of the run.
        state: "finished", "failed", or "busy" if another process makes the run.
        metric, score, test_score, seconds: as in its record, if it finished.
        error, traceback: if it did not finish.
        record: text of its record, from a machine that does not share the output folder.
        disk_full: whether it failed because the disk is full.
        device: the device on which it failed.
    """

    name: str
    state: str
    metric: str = ""
    score: float | None = 0.0
    test_score: float = 0.0
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    record: str = ""
    disk_full: bool = False
    device: str = ""


# What a runner yields: the end of each run, and now and then the recipes that are running.
Events: TypeAlias = Generator[Done | list[Recipe], None, None]


def work(recipe: Recipe) -> Done:
    """Run a recipe, and return how it ended.

    An exception is returned as the outcome "failed" or "busy", so that the worker can take the next run.
    """
    from .. import files, training
    from ..training.logging_filters import quiet
    from .record import ProgressFile

    quiet()
    progress = ProgressFile(recipe)
    try:
        with files.explained(recipe.output_dir):
            result = training.run(recipe, callbacks=[progress])
    except BusyError as error:
        return Done(recipe.name, "busy", error=str(error))
    except Exception as error:
        message = str(error) or type(error).__name__
        return Done(
            recipe.name,
            "failed",
            error=message,
            traceback=traceback.format_exc(),
            disk_full=files.is_full(error),
            device=training.device_name(),
        )
    finally:
        progress.remove()
    return Done(recipe.name, "finished", result.metric, result.score, result.test_score, result.seconds)


def start_worker(parent: int, threads: int, log: Path) -> None:
    """Set up a local worker: it writes into a log, ignores Ctrl-C, and ends with its parent.

    Args:
        parent: ID of the process that started it. That one handles Ctrl-C.
        threads: threads of torch; 0 keeps torch's default.
        log: file for all output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = open(log, "a", buffering=1, encoding="utf-8", errors="replace")  # open as long as the process lives
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if threads:
        import torch

        torch.set_num_threads(threads)


def _end_with(parent: int) -> None:
    # A parent that is killed cannot tell its workers. They would continue beside those of the next sweep.
    while os.getppid() == parent and psutil.pid_exists(parent):  # Windows keeps the ID of a parent that has ended
        time.sleep(0.5)
    os._exit(1)
