"""Image classification: the papers' data sets (CDVFT Table 2, C3A Table 4), any folder of images, and the digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow
from datasets import Dataset, DatasetDict, Image, Value

from ..data_folders import TaskOptions, read_with_unused
from . import image_labels, pictures, splits, text_labels
from .folder_names import folder_names, names_of_others
from .text import METRICS

SHOWN = 1000  # characters of an error
KIND = 80  # of a value, and of what kind it is


@dataclass(frozen=True)
class ImageTask:
    """Classification of images.

    Args:
        name: the task's name.
        hub: data set id (and configuration) on the Hugging Face hub, or None for embedded or local data.
        columns: names of the image's and the label's column in the published data; read as "image" and "label".
        labels: the class names in the order of their numbers; filled in from the data.
    """

    name: str
    hub: tuple[str, ...] | None = None
    columns: tuple[str, str] = ("image", "label")
    labels: tuple[str, ...] = ()

    kind = "images"
    metric = "accuracy"
    group = "label"  # the score is broken down by class

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def predictions(self, logits: np.ndarray) -> np.ndarray:
        """Class numbers ``(rows,)`` from logits ``(rows, num_labels)``."""
        return logits.argmax(-1)

    def score(self, labels: Sequence, predictions: Sequence) -> float:
        """Accuracy.

        >>> ImageTask("t").score([0, 1], [0, 0])
        0.5
        """
        return float(METRICS[self.metric](labels, predictions))

    def read_folder(self, folder: str | Path) -> DatasetDict:
        """Read the splits of images in a local folder, see `read_with_unused`."""
        return self.read_with_unused(folder)[0]

    def read_with_unused(self, folder: str | Path) -> tuple[DatasetDict, list[str]]:
        """Read the splits of images in a local folder, and name the data that is not read.

        Raises: see `data_folders.read_with_unused`.
        """
        options = TaskOptions(
            kind=self.kind,
            names=folder_names(self.name, self.hub),
            other_tasks=names_of_others(self.name),
            image_column=self.columns[0],
            label_column=self.columns[1],
            hub_name=self.hub[0] if self.hub else "",
        )
        return read_with_unused(folder, options)

    def prepare(self, data: DatasetDict) -> DatasetDict:
        """The data with the columns "image" and "label", checked; without a test split that has no labels.

        Where a split has its classes in another order than train, its numbers become train's.

        Raises: ValueError for a missing split or column (with the nearest name), an empty split, labels that are not
        class numbers or names, a single class, splits with classes that train has not, or a file that is no image, is
        cut off, or whose values have no known range.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        ready, classes = DatasetDict(), None
        for split in splits.SPLITS:
            if split not in data:
                continue
            if len(data[split]) == 0:
                raise ValueError(f"empty split: {split} of task {self.name!r} has no rows")
            if split == "test" and text_labels.hidden(data[split], data["train"], (self.columns[1], "label")):
                continue
            rows = self._columns(split, data[split])
            ready[split] = image_labels.numbered(self.name, split, rows, classes)
            classes = ready["train"].features["label"].names
        return ready

    def with_labels_of(self, data: DatasetDict) -> ImageTask:
        """The task with the class names that prepared data has."""
        return replace(self, labels=tuple(data["train"].features["label"].names))

    def _columns(self, split: str, rows: Dataset) -> Dataset:
        for published, name in zip(self.columns, ("image", "label"), strict=True):
            if published in rows.column_names and published != name:
                rows = rows.select_columns([column for column in rows.column_names if column != name])
                rows = rows.rename_column(published, name)
            splits.check_column(self.name, split, rows, name, ("image", "label"))
        rows = rows.select_columns(["image", "label"])
        kind = rows.features["image"]
        try:
            if not isinstance(kind, Image | Value | dict):  # as JSON's text, a list of pixels would be taken for a path
                raise TypeError
            rows = rows.cast_column("image", Image())
        except (pyarrow.ArrowException, TypeError) as error:
            first = repr(rows[0]["image"])[:KIND]
            raise ValueError(
                f"column 'image' in split {split} of task {self.name!r} has no images: {first} of kind "
                f"{str(kind)[:KIND]}; expected the contents of image files, or their paths"
            ) from error
        _check_images(self.name, split, rows)
        return rows


def _check_images(task: str, split: str, rows: Dataset) -> None:
    for row, picture in enumerate(rows.cast_column("image", Image(decode=False))["image"]):
        where = f"row {row} of split {split} of task {task!r}"
        if picture is None or not (picture["bytes"] or picture["path"]):
            raise ValueError(f"{where} has no image")
        try:
            pictures.check(picture)
        except ValueError as error:
            file = f" ({picture['path']})" if picture["path"] and picture["path"] not in str(error) else ""
            said = f"{where}{file} is no image that can be read: {error}"
            # What stands for a path may be an image written as text.
            raise ValueError(said if len(said) <= SHOWN else f"{said[:SHOWN]}...") from error


TASKS = {
    task.name: task
    for task in (
        ImageTask("images"),  # a folder of one's own
        ImageTask("digits"),
        ImageTask("pets", ("timm/oxford-iiit-pet",)),
        ImageTask("cars", ("tanganke/stanford_cars",)),
        ImageTask("dtd", ("tanganke/dtd",)),
        ImageTask("eurosat", ("timm/eurosat-rgb",)),
        ImageTask("fgvc", ("HuggingFaceM4/FGVC-Aircraft",), ("image", "variant")),
        ImageTask("resisc45", ("timm/resisc45",)),
        ImageTask("cifar100", ("uoft-cs/cifar100",), ("img", "fine_label")),
    )
}
