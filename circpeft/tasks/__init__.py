"""Tasks by name, and their data."""

from pathlib import Path

from datasets import DatasetDict

from ..suggest import nearest
from . import embedded, glue, hub, images, instruction_sets, splits
from .images import ImageTask
from .instructions import InstructionTask
from .text import Task
from .unused_columns import unused_columns

AnyTask = Task | ImageTask | InstructionTask
TASKS: dict[str, AnyTask] = {**embedded.TASKS, **glue.TASKS, **images.TASKS, **instruction_sets.TASKS}


def get(name: str) -> AnyTask:
    """Return the task of this name.

    Raises: ValueError for an unknown name, with the nearest one.

    >>> get("stsb").metric
    'pearson'
    >>> get("entailmnt")
    Traceback (most recent call last):
    ...
    ValueError: unknown task 'entailmnt'; did you mean 'entailment'? (choices: entailment, cola, sst2, mrpc, ...)
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; {nearest(name, TASKS)}")
    return TASKS[name]


def load(name: str, data_dir: str | Path = "", max_train: int = 0, hold_out: bool = True) -> tuple[DatasetDict, str]:
    """Return a task's checked and labelled train, validation and test splits, and a line that says how they were made.

    Args:
        name: the task.
        data_dir: a data folder with the task's columns; "" means the embedded data or the hub.
        max_train: how many training rows to draw, with a fixed seed; 0 means all.
        hold_out: whether to hold rows out for validation where no validation split is published. With False, there may
            be no validation split.

    Raises: ValueError or FileNotFoundError; see `data_folders.read_folder`, `Task.prepare`,
    `unused_columns.unused_columns` and `models.hub_errors`.

    >>> data, how = load("entailment", max_train=10)
    >>> len(data["train"]), how
    (10, 'test: as published')
    """
    task = get(name)
    unused: list[str] = []
    if data_dir:
        raw, unused = task.read_with_unused(data_dir)
    elif task.hub:
        raw = hub.published_share(task, hub.load_published(*task.hub))
    else:
        raw = embedded.load(name)
    ready = task.prepare(raw)
    columns = unused_columns(task, raw)
    data, how = splits.three_splits(ready, hold_out=hold_out)
    if "test" in raw and "test" not in ready:
        how += "; the published test split has no labels"
    if not data_dir and (share := getattr(task, "share", 1.0)) < 1:
        how += f"; {share:.1%} of the published rows are used, drawn at random"
    unused = [*(split for split in raw if split not in splits.SPLITS), *unused]
    if unused:
        how += f"; not used: {', '.join(unused)}"
    if columns:
        how += f"; columns not used: {', '.join(columns)}"
    data["train"] = splits.first_rows(data["train"], max_train)
    return data, how


__all__ = ["TASKS", "ImageTask", "InstructionTask", "Task", "get", "load", "unused_columns"]
