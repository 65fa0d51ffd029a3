"""One run in a process of its own: what a local worker, or a worker of a cluster, does."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from ..recipes import Recipe


@dataclass(frozen=True)
class Done:
    """The end of a run: its scores, or its error; ``record`` is the text of its record where the folder is not shared.

    ``state`` is "finished" or "failed"; ``full`` tells that the disk was full; ``device`` is where it ran.
    """

    name: str
    state: str
    metric: str = ""
    score: float = 0.0
    test_score: float = 0.0
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    record: str = ""
    full: bool = False
    device: str = ""


def work(recipe: Recipe) -> Done:
    """Run a recipe; an error is the run's outcome, not the worker's."""
    from .. import training
    from ..training.logging_filters import quiet
    from .record import Steps

    quiet()
    steps = Steps(recipe)
    try:
        result = training.run(recipe, callbacks=[steps])
    except Exception as error:  # whatever a run fails of is recorded, and the next run begins
        said = str(error) or type(error).__name__
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        full = full or os.strerror(errno.ENOSPC) in said  # safetensors says it in an error of its own
        where = {"full": full, "device": training.device_name()}
        return Done(recipe.name, "failed", error=said, traceback=traceback.format_exc(), **where)
    finally:
        steps.gone()
    return Done(recipe.name, "finished", result.metric, result.score, result.test_score, result.seconds)


def start(parent: int, threads: int, log: Path) -> None:
    """What a local worker does first: write into a log, leave Ctrl-C to its parent, and end with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = open(log, "a", buffering=1, encoding="utf-8", errors="replace")  # for as long as the process lives
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if threads:
        import torch

        torch.set_num_threads(threads)


def _end_with(parent: int) -> None:
    # A parent that was killed can tell nobody: its worker would go on, beside that of the next start.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
