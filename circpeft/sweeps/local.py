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
# Workers are replaced after so many runs each: what libraries do not give back cannot pile up. Not by the pool's own
# max_tasks_per_child, with which Python 3.11's hangs when the last worker has had its share.
RUNS_A_WORKER = 25
TICK = 1.0


def run_locally(recipes: Iterable[Recipe], workers: int, log: Path) -> Iterator[Done | list[Recipe]]:
    """Run recipes in ``workers`` processes, and yield each end as it comes; in between, about once a second, what runs.

    One run has all the machine's threads, several share them. Workers write what they would say into ``log``. They are
    ended when this generator is closed.
    """
    left, tries = deque(recipes), {}
    threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0
    pool, begun, running = None, 0, {}
    try:
        while left or running:
            if pool is not None and begun >= RUNS_A_WORKER * workers and not running:
                pool.shutdown()
                pool = None
            if pool is None:
                pool, begun = _pool(workers, threads, log), 0
            broken = False
            while left and len(running) < workers and begun < RUNS_A_WORKER * workers and not broken:
                try:
                    running[pool.submit(work, left[0])] = left[0]
                except BrokenProcessPool:  # a worker died while it had nothing to do
                    broken = True
                else:
                    recipe = left.popleft()
                    tries[recipe.name] = tries.get(recipe.name, 0) + 1
                    begun += 1
            ended = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)[0] if running else ()
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
    )


def _lost(future: Future) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _again(recipe: Recipe, tries: dict[str, int], left: deque) -> tuple[deque, list[Done]]:
    """The runs that are left, a lost one first among them, or its end after the last attempt."""
    if tries[recipe.name] < ATTEMPTS:
        return deque([recipe, *left]), []
    error = (
        f"its process died {ATTEMPTS} times, killed or out of memory: give it more memory, a smaller batch_size, or "
        f'fewer workers (in a script of your own, call run_sweep below `if __name__ == "__main__":`)'
    )
    return left, [Done(recipe.name, "failed", error=error)]
