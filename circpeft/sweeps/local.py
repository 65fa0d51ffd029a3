"""Runs in processes of this machine, one after the other or some at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ..recipes import Recipe
from .work import Done, start, work

# A run whose process dies (of memory, or by a kill) is tried again; beside others it may not even have been its fault.
ATTEMPTS = 3
# A worker is replaced after so many runs: what libraries do not give back cannot pile up.
RUNS_A_WORKER = 25
TICK = 1.0


def run_locally(recipes: Iterable[Recipe], workers: int, log: Path) -> Iterator[Done | list[Recipe]]:
    """Run recipes in ``workers`` processes, and yield each end as it comes; in between, about once a second, what runs.

    One run has all the machine's threads, several share them. Workers write what they would say into ``log``. They are
    ended when this generator is closed.
    """
    left, tries = deque(recipes), {}
    threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0
    pool, running = None, {}
    try:
        while left or running:
            pool = pool or _pool(workers, threads, log)
            while left and len(running) < workers:
                recipe = left.popleft()
                tries[recipe.name] = tries.get(recipe.name, 0) + 1
                running[pool.submit(work, recipe)] = recipe
            ended, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
            broken = False
            for future in ended:
                recipe = running.pop(future)
                if _lost(future):
                    broken = True
                    left, done = _again(recipe, tries, left)
                    yield from done
                else:
                    yield future.result()
            if broken:  # the pool is of no use any more, and fails all that it had
                for recipe in running.values():
                    left, done = _again(recipe, tries, left)
                    yield from done
                running.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                pool = None
            yield list(running.values())
    finally:
        if pool is not None:
            for child in multiprocessing.active_children():
                child.kill() if running else None
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int, threads: int, log: Path) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),  # a forked torch has no threads of its own left
        initializer=start,
        initargs=(os.getpid(), threads, log),
        max_tasks_per_child=RUNS_A_WORKER,
    )


def _lost(future: Future) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _again(recipe: Recipe, tries: dict[str, int], left: deque) -> tuple[deque, list[Done]]:
    """The runs that are left, a lost one first among them, or its end after the last attempt."""
    if tries[recipe.name] < ATTEMPTS:
        return deque([recipe, *left]), []
    error = (
        f"its process died {ATTEMPTS} times, killed or out of memory: give it more memory, a smaller batch_size, or "
        f"fewer workers"
    )
    return left, [Done(recipe.name, "failed", error=error)]
