"""Image classification: the papers' data sets (CDVFT Table 2, C3A Table 4), embedded digits, and folders of images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow
from datasets import Dataset, DatasetDict, Image, Value

from ..data_folders import TaskOptions, read_with_unused
from ..data_folders.split_names import SPLITS
from . import image_labels, pictures, text_labels
from .columns import check_column
from .folder_names import folder_names, names_of_others
from .text import METRICS

ERROR_CHARACTERS = 1000
VALUE_CHARACTERS = 80  # of a value, and of its type, in an error


@dataclass(frozen=True)
class ImageTask:
    """Classification of images.

    Args:
        name: the task's name.
        hub: data set ID (and configuration) on the Hugging Face hub, or None for embedded or local data.
        columns: names of the image column and the label column in the published data; read as "image" and "label".
        labels: the class names in the order of their numbers; filled in from the data.
    """

    name: str
    hub: tuple[str, ...] | None = None
    columns: tuple[str, str] = ("image", "label")
    labels: tuple[str, ...] = ()

    kind = "images"
    metric = "accuracy"
    group = "label"  # the score is also broken down by class

    @property
    def num_labels(self) -> int:
        """The number of classes."""
        return len(self.labels)

    def predictions(self, logits: np.ndarray) -> np.ndarray:
        """Return class numbers ``(rows,)`` from logits ``(rows, num_labels)``."""
        return logits.argmax(-1)

    def score(self, labels: Sequence, predictions: Sequence) -> float:
        """Return the accuracy.

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
        """Check the images and labels, and return them as the columns "image" and "label".

        A test split without labels is left out. A split that numbers its classes differently gets train's numbers.

        Raises: ValueError for a missing train split or column (with the nearest name), an empty split, labels that are
        not class numbers or names, a single class, a class that train does not have, and a file that is not an image,
        is truncated, or has pixel values without a known range.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        ready, classes = DatasetDict(), None
        for split in SPLITS:
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

    def used_columns(self, names: Sequence[str]) -> tuple[str, str]:
        """Return the columns of the image and the label, of those that a split has."""
        pairs = zip(self.columns, ("image", "label"), strict=True)
        image, label = (published if published in names else name for published, name in pairs)
        return image, label

    def with_labels_of(self, data: DatasetDict) -> ImageTask:
        """Return the task with the class names of prepared data."""
        return replace(self, labels=tuple(data["train"].features["label"].names))

    def _columns(self, split: str, rows: Dataset) -> Dataset:
        for published, name in zip(self.columns, ("image", "label"), strict=True):
            if published in rows.column_names and published != name:
                rows = rows.select_columns([column for column in rows.column_names if column != name])
                rows = rows.rename_column(published, name)
            check_column(self.name, split, rows, name, ("image", "label"))
        rows = rows.select_columns(["image", "label"])
        feature = rows.features["image"]
        try:
            if not isinstance(feature, Image | Value | dict):  # cast to text, a list of pixels would become a path
                raise TypeError
            rows = rows.cast_column("image", Image())
        except (pyarrow.ArrowException, TypeError) as error:
            first = repr(rows[0]["image"])[:VALUE_CHARACTERS]
            raise ValueError(
                f"column 'image' in split {split} of task {self.name!r} has no images: {first} of type "
                f"{str(feature)[:VALUE_CHARACTERS]}; expected the contents of image files, or their paths"
            ) from error
        _check_images(self.name, split, rows)
        return rows


def _check_images(task: str, split: str, rows: Dataset) -> None:
    """Raise ValueError for the first row without an image, or with an unreadable one. Warn of several frames."""
    with_frames = []
    for row, picture in enumerate(rows.cast_column("image", Image(decode=False))["image"]):
        where = f"row {row} of split {split} of task {task!r}"
        if picture is None or not (picture["bytes"] or picture["path"]):
            raise ValueError(f"{where} has no image")
        try:
            if pictures.check(picture):
                with_frames.append(picture["path"] or f"that of row {row}")
        except ValueError as error:
            file = f" ({picture['path']})" if picture["path"] and picture["path"] not in str(error) else ""
            message = f"{where}{file} is not a readable image: {error}"
            # The path may be an image written as text.
            shortened = message if len(message) <= ERROR_CHARACTERS else f"{message[:ERROR_CHARACTERS]}..."
            raise ValueError(shortened) from error
    if with_frames:
        warnings.warn(
            f"task {task!r}: {len(with_frames)} images of split {split} have several frames or pages, such as "
            f"{with_frames[0]}; only the first frame of each is used",
            stacklevel=2,
        )


TASKS = {
    task.name: task
    for task in (
        ImageTask("images"),  # any folder of images
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
