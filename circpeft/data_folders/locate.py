"""Where in a folder the data lie: what is to be seen there, and which of several folders is meant."""

from pathlib import Path

from .split_names import plain

# All but "images", which takes any folder of them.
TASKS = (
    *("entailment", "cola", "sst2", "mrpc", "qnli", "rte", "stsb"),
    *("digits", "pets", "cars", "dtd", "eurosat", "fgvc", "resisc45", "cifar100"),
    *("word_problems", "gsm8k", "math", "viggo", "sql", "alpaca"),
)


def visible(folder: Path) -> list[Path]:
    """What a folder holds, in order, without what Jupyter (.ipynb_checkpoints) or macOS (._a.png) leave."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def names_of(task: str, hub: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names that a folder of a task's data may have: the task's, then that of its configuration on the hub.

    >>> names_of("gsm8k", ("openai/gsm8k", "main"))
    ('gsm8k', 'main')
    """
    return task, *(hub or ())[1:]


def one_home(folder: Path, homes: list[Path], names: tuple[str, ...] = ()) -> Path | None:
    """The only one of the folders in a folder that hold data, or the one with one of ``names`` or the folder's own.

    None of none.

    Raises: ValueError for several, or where the only one has another task's name.
    """
    own = {*map(plain, names), plain(folder.resolve().name)}
    if len(homes) == 1:
        others = {plain(task): task for task in TASKS if plain(task) not in own}
        if names and names[0] in TASKS and (other := others.get(plain(homes[0].name))):
            raise ValueError(
                f"data_dir {str(folder)!r} holds no data of task {names[0]!r} but {homes[0].name}, by its name of task "
                f"{other!r}; give {str(homes[0])!r} if it is meant"
            )
        return homes[0]
    meant = [path for path in homes if plain(path.name) in own]
    if homes and len(meant) != 1:
        there = ", ".join(path.name for path in homes)
        raise ValueError(f"data_dir {str(folder)!r} holds several data sets: {there}; give one's folder")
    return meant[0] if meant else None
