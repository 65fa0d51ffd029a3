"""Choose the subfolder that holds a task's data."""

from collections.abc import Sequence

from .inventory import Inventory
from .layout import TaskOptions
from .split_names import normalized


def choose_subfolder(folder: Inventory, candidates: Sequence[Inventory], options: TaskOptions) -> Inventory | None:
    """Return the only candidate, or the one that is named after the task or after the folder; None without candidates.

    Raises: ValueError for several candidates, or if the only one is named after another task.
    """
    accepted = {*map(normalized, options.names), normalized(folder.path.resolve().name)}
    if len(candidates) == 1:
        [only] = candidates
        others = {normalized(task): task for task in options.other_tasks if normalized(task) not in accepted}
        if other := others.get(normalized(only.name)):
            raise ValueError(
                f"data_dir {str(folder.path)!r} holds no data of task {options.names[0]!r}. It holds {only.name}, "
                f"which is named after task {other!r}; give {str(only.path)!r} if you mean it"
            )
        return only
    named = [candidate for candidate in candidates if normalized(candidate.name) in accepted]
    if candidates and len(named) != 1:
        names = ", ".join(candidate.name for candidate in candidates)
        raise ValueError(f"data_dir {str(folder.path)!r} holds several data sets: {names}; give the folder of one")
    return named[0] if named else None
