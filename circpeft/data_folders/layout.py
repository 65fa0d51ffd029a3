"""The interface of a layout of data folders, and what a layout has to know of a task."""

from dataclasses import dataclass
from typing import Protocol

from datasets import DatasetDict

from .inventory import Inventory


@dataclass(frozen=True)
class TaskOptions:
    """What reading a data folder depends on, beside the folder.

    Args:
        kind: the kind of task: "text", "images" or "instructions".
        names: the task's name, then other names that the folder of its data may have.
        other_tasks: names of the other tasks; a single subfolder with one of these names is not read.
        text_columns: columns of csv and tsv files that hold texts, even where all values look like numbers.
        headerless_columns: columns of a tsv file whose first line has none of ``text_columns``.
        image_column: the column of image paths in tables, for tasks on images.
        label_column: the column of labels in tables of images.
        hub_name: the data set on the hub that has the layout the task reads, for errors.
    """

    kind: str = "text"
    names: tuple[str, ...] = ()
    other_tasks: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    headerless_columns: tuple[str, ...] = ()
    image_column: str = ""
    label_column: str = "label"
    hub_name: str = ""


class Layout(Protocol):
    """One way in which files of a data set are arranged in a folder.

    A new layout is a class with this interface and one line in `layouts.LAYOUTS`.

    Args:
        kinds: the kinds of tasks that can have this layout.
        expected: the layout in a few words, for the error of a folder that has none.
    """

    @property
    def kinds(self) -> tuple[str, ...]: ...

    @property
    def expected(self) -> str: ...

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether the folder has this layout."""
        ...

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read the splits of a folder that matches.

        Raises: ValueError for data that cannot be read, or that would be ignored silently.
        """
        ...

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return what to change so that the folder has this layout: a sentence, or "" where nothing is known."""
        ...
