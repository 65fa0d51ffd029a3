"""Turns with other processes: a run that one of them makes, such as `circpeft train`, is left until the end.

When that process has ended, the sweep reads its record, or makes the run itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing

from tqdm.auto import tqdm

from ..escaping import terminal
from ..recipes import Recipe
from ..run_files.ownership import Owner, forget_dead, is_alive, owner_path, read_owner
from ..training import turns
from .work import Done, Events

WAIT_SECONDS = 5.0  # between two looks at the runs of other processes


def run_in_turn(runner: Callable[[list[Recipe]], Events], recipes: Iterable[Recipe]) -> Events:
    """Run recipes and yield what the runner yields. Runs that other processes make take their turn after the others.

    When this generator is closed, the runner's is closed, too.

    Args:
        runner: function that runs recipes. It yields the end of each, and now and then the recipes that are running.
            The end of a run that another process makes has the state "busy", which is not passed on.
        recipes: the recipes.
    """
    ready, busy = list(recipes), list[Recipe]()
    recipe_of, named = {recipe.name: recipe for recipe in ready}, set[str]()
    while ready or busy:
        with closing(runner(ready)) as events:
            for event in events:
                if isinstance(event, Done) and event.state == "busy":
                    busy.append(recipe_of[event.name])
                    if event.name not in named:
                        named.add(event.name)
                        _print_wait(busy[-1])
                else:
                    yield event
        ready = []
        if busy:
            time.sleep(WAIT_SECONDS)
            yield []
            ready = [recipe for recipe in busy if _owner(recipe) is None]
            busy = [recipe for recipe in busy if recipe not in ready]
    for recipe in recipe_of.values():
        forget_dead(turns.lock_of(recipe))  # of a worker that was killed after it had written the record


def _print_wait(recipe: Recipe) -> None:
    owner = _owner(recipe)
    by = f" ({owner.name})" if owner else ""
    text = f"another process makes the run {recipe.name}{by}: the sweep makes its other runs, then waits for this one"
    tqdm.write(terminal(text), file=sys.stderr)


def _owner(recipe: Recipe) -> Owner | None:
    """Return the living process that makes a run; None if there is no such process, or it cannot be seen from here."""
    lock = turns.lock_of(recipe)
    owner = read_owner(lock)
    return owner if owner and is_alive(owner, owner_path(lock)) else None
