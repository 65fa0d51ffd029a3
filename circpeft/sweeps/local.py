"""Runs in worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from ..recipes import Recipe
from .work import Done, Events, start_worker, work

ATTEMPTS = 3  # of a run with a process that dies, out of memory or killed
# A worker is replaced after this many runs, so that memory which libraries do not release cannot pile up. The option
# max_tasks_per_child of the pool is not used: with it, Python 3.11 hangs when the last worker has had its runs.
RUNS_PER_WORKER = 25
POLL_SECONDS = 1.0
GIVEN_UP = (
    f"its process died {ATTEMPTS} times, killed or out of memory; give it more memory, a smaller batch_size, or fewer "
    f'workers (in a script of your own, call run_sweep below `if __name__ == "__main__":`)'
)


def run_locally(recipes: Iterable[Recipe], workers: int, log: Path) -> Events:
    """Run recipes in worker processes. Yield the end of each, and about once a second the recipes that are running.

    A single worker uses all threads of the machine; several share them. When this generator is closed, the workers end.
    If a process dies, the runs that were active are repeated one by one: only a run that dies with nothing beside it
    counts as its cause.

    Args:
        recipes: the recipes.
        workers: number of processes.
        log: file for the workers' output.
    """
    waiting, suspects = deque(recipes), deque[Any]()
    deaths: dict[Any, Any] = {}
    pool: Any = None
    running: dict[Any, Any] = {}
    try:
        while waiting or suspects or running:
            if pool is not None and pool.submitted >= RUNS_PER_WORKER * workers and not running:
                pool.shutdown()
                pool = None
            pool = pool or _Pool(workers, log)
            broken = False
            source, places = (suspects, 1) if suspects or _has_suspect(running, deaths) else (waiting, workers)
            while source and len(running) < places and pool.submitted < RUNS_PER_WORKER * workers and not broken:
                try:
                    running[pool.submit(work, source[0])] = source[0]
                except BrokenProcessPool:  # a worker died between two runs
                    broken = True
                else:
                    source.popleft()
            active = len(running)
            lost = []
            for future in wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)[0] if running else ():
                recipe = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.append(recipe)
                else:
                    yield future.result()
            if broken or lost:  # a broken pool fails all its runs
                lost += running.values()
                running.clear()
                for recipe in lost:
                    deaths[recipe.name] = deaths.get(recipe.name, 0) + (active == 1)
                    if deaths[recipe.name] >= ATTEMPTS:
                        yield Done(recipe.name, "failed", error=GIVEN_UP)
                    else:
                        suspects.append(recipe)
                pool.shutdown(wait=True, cancel_futures=True)
                pool = None
            yield list(running.values())
    finally:
        if pool is not None:
            pool.end(kill=bool(running))


class _Pool(ProcessPoolExecutor):
    """A process pool that counts what was submitted, and that can be ended at once."""

    def __init__(self, workers: int, log: Path) -> None:
        self.submitted, self.other_children = 0, set(multiprocessing.active_children())
        threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0
        _start_tracker()
        spawn = multiprocessing.get_context("spawn")  # after a fork, torch would have no threads
        super().__init__(workers, mp_context=spawn, initializer=start_worker, initargs=(os.getpid(), threads, log))

    def submit(self, *arguments, **options) -> Future:
        """Submit as the executor does, and count."""
        future = super().submit(*arguments, **options)
        self.submitted += 1
        return future

    def end(self, kill: bool) -> None:
        """Shut down; with ``kill``, without waiting for running work."""
        for child in set(multiprocessing.active_children()) - self.other_children if kill else ():
            child.kill()
        self.shutdown(wait=True, cancel_futures=True)


def _start_tracker() -> None:
    """Start Python's tracker of semaphores. It removes those of killed workers, here without a warning about each."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _has_suspect(running: dict[Future, Recipe], deaths: dict[str, int]) -> bool:
    """Return whether a suspect is running. Then nothing may run beside it."""
    return any(recipe.name in deaths for recipe in running.values())
