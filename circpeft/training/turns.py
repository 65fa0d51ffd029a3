"""One process (or one group of them) at a time makes a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..recipes import Recipe
from ..run_files.ownership import BusyError, owned
from . import distributed

FOLDER = ".locks"


def lock_of(recipe: Recipe) -> Path:
    """Return the path of the lock that the owner of a run holds."""
    return Path(recipe.output_dir) / FOLDER / f"{recipe.name}.lock"


@contextmanager
def own_run(recipe: Recipe) -> Iterator[None]:
    """Own a run while a ``with`` block makes it. Every process of a group calls this, and the first one owns it.

    Raises: BusyError, on every process, if another process makes the run, with its host and its process ID; OSError
    where the lock cannot be written.
    """
    with ExitStack() as stack:
        busy = ""
        if distributed.state().is_main_process:
            try:
                stack.enter_context(owned(lock_of(recipe)))
            except BusyError as error:
                busy = str(error)
        if busy := distributed.from_first(busy):
            raise BusyError(
                f"another process makes the run {recipe.name} in {recipe.output_dir!r} ({busy}); wait for its end, or "
                f"give another output folder"
            )
        yield
