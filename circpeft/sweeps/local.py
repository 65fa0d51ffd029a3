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

ATTEMPTS = 3  # of a run whose process dies, of memory or by a kill
# Workers are replaced after so many runs each: what libraries do not give back cannot pile up. Not by the pool's own
# max_tasks_per_child, with which Python 3.11's hangs when the last worker has had its share.
RUNS_A_WORKER = 25
TICK = 1.0
GIVEN_UP = (
    f"its process died {ATTEMPTS} times, killed or out of memory: give it more memory, a smaller batch_size, or fewer "
    f'workers (in a script of your own, call run_sweep below `if __name__ == "__main__":`)'
)


def run_locally(recipes: Iterable[Recipe], workers: int, log: Path) -> Iterator[Done | list[Recipe]]:
    """Run recipes in ``workers`` processes, and yield each end as it comes; in between, about once a second, what runs.

    One run has all the machine's threads, several share them. Workers write what they would say into ``log``. They are
    ended when this generator is closed. Where a process dies, what ran beside it is run again one by one: only a run
    that dies alone is to blame for it.
    """
    left, suspects, tries = deque(recipes), deque(), {}
    pool, running = None, {}
    try:
        while left or suspects or running:
            if pool is not None and pool.begun >= RUNS_A_WORKER * workers and not running:
                pool.shutdown()
                pool = None
            pool = pool or _Pool(workers, log)
            broken = False
            source, places = (suspects, 1) if suspects or _alone(running, tries) else (left, workers)
            while source and len(running) < places and pool.begun < RUNS_A_WORKER * workers and not broken:
                try:
                    running[pool.submit(work, source[0])] = source[0]
                except BrokenProcessPool:  # a worker died while it had nothing to do
                    broken = True
                else:
                    source.popleft()
            at_once = len(running)
            lost = []
            for future in wait(running, timeout=TICK, return_when=FIRST_COMPLETED)[0] if running else ():
                recipe = running.pop(future)
                if _lost(future):
                    lost.append(recipe)
                else:
                    yield future.result()
            if broken or lost:  # the pool is of no use any more, and fails all that it had
                lost += running.values()
                running.clear()
                for recipe in lost:
                    tries[recipe.name] = tries.get(recipe.name, 0) + (at_once == 1)
                    if tries[recipe.name] >= ATTEMPTS:
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
    """A pool that counts what it has begun, and can be ended at once."""

    def __init__(self, workers: int, log: Path) -> None:
        self.begun, self.others = 0, set(multiprocessing.active_children())
        threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0
        spawn = multiprocessing.get_context("spawn")  # a forked torch has no threads of its own left
        super().__init__(workers, mp_context=spawn, initializer=start, initargs=(os.getpid(), threads, log))

    def submit(self, *arguments, **options) -> Future:
        """As the executor's, counted."""
        future = super().submit(*arguments, **options)
        self.begun += 1
        return future

    def end(self, kill: bool) -> None:
        """Shut down, and kill what runs."""
        for child in set(multiprocessing.active_children()) - self.others if kill else ():
            child.kill()
        self.shutdown(wait=True, cancel_futures=True)


def _alone(running: dict[Future, Recipe], tries: dict[str, int]) -> bool:
    """Whether what runs is a suspect: nothing is to run beside it."""
    return any(recipe.name in tries for recipe in running.values())


def _lost(future: Future) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)
