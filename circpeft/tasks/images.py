"""Image classification: the papers' data sets (CDVFT Table 2, C3A Table 4), any folder of images, and the digits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow
from datasets import ClassLabel, Dataset, DatasetDict, Image, Value
from PIL import Image as Pillow

from ..ops.checks import nearest
from . import splits
from .base import METRICS

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")


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
        """Images from a folder: one that `save_to_disk` wrote, or train/CLASS/*.png and so on (see `image_folders`)."""
        folder = Path(folder).expanduser()
        if made := image_folders(folder):
            return made
        try:
            return splits.read_folder(folder)
        except FileNotFoundError as error:
            if not folder.is_dir():
                raise
            raise FileNotFoundError(f"{error}; images may also lie in train/CLASS, test/CLASS and so on") from error

    def prepare(self, data: DatasetDict) -> DatasetDict:
        """The data with the columns "image" and "label", checked.

        Raises: ValueError for a missing split or column (with the nearest name), an empty split, labels that are not
        class numbers or names, splits with classes that train has not, or a file that is no image.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        ready, names = DatasetDict(), None
        for split in splits.SPLITS:
            if split in data:
                ready[split] = _class_labels(self.name, split, self._columns(split, data[split]), names)
                names = ready["train"].features["label"].names
        return ready

    def with_labels_of(self, data: DatasetDict) -> ImageTask:
        """The task with the class names that prepared data has."""
        return replace(self, labels=tuple(data["train"].features["label"].names))

    def _columns(self, split: str, rows: Dataset) -> Dataset:
        if len(rows) == 0:
            raise ValueError(f"empty split: {split} of task {self.name!r} has no rows")
        for published, name in zip(self.columns, ("image", "label"), strict=True):
            if published in rows.column_names and published != name:
                rows = rows.rename_column(published, name)
            if name not in rows.column_names:
                raise ValueError(
                    f"column {name!r} is missing in split {split} of task {self.name!r}; "
                    f"{nearest(name, rows.column_names)}"
                )
        rows = rows.select_columns(["image", "label"])
        try:
            rows = rows.cast_column("image", Image())
        except pyarrow.ArrowException as error:
            kind = rows.features["image"]
            raise ValueError(f"column 'image' in split {split} of task {self.name!r} has no images: {kind}") from error
        _check_images(self.name, split, rows)
        return rows


def _check_images(task: str, split: str, rows: Dataset) -> None:
    for row, picture in enumerate(rows.cast_column("image", Image(decode=False))["image"]):
        if picture is None:
            raise ValueError(f"row {row} of split {split} of task {task!r} has no image")
        # Its head alone: the pixels are read for the digest of the data, where a damaged image is named as well.
        try:
            Pillow.open(io.BytesIO(picture["bytes"]) if picture["bytes"] else picture["path"]).close()
        except OSError as error:
            raise ValueError(
                f"row {row} of split {split} of task {task!r} is no image that can be read: {error}"
            ) from error


def _class_labels(task: str, split: str, rows: Dataset, names: list[str] | None) -> Dataset:
    """Labels as numbers of train's classes; ``names`` is None for train itself, whose classes are found."""
    feature = rows.features["label"]
    if not isinstance(feature, (ClassLabel, Value)):
        raise ValueError(f"labels {feature} in split {split} of task {task!r}; expected class numbers or class names")
    found = set(rows.unique("label"))
    if isinstance(feature, ClassLabel):
        if found - set(range(feature.num_classes)):
            wrong = min(found - set(range(feature.num_classes)), key=repr)
            raise ValueError(
                f"label {wrong!r} in split {split} of task {task!r}; expected 0 to {feature.num_classes - 1}"
            )
        if feature.names != (names or feature.names):
            raise ValueError(f"split {split} of task {task!r} has other classes than train: {feature.names[:5]}")
        return rows
    if None in found or not all(isinstance(label, (int, str)) for label in found):
        wrong = next(label for label in found if not isinstance(label, (int, str)))
        raise ValueError(f"label {wrong!r} in split {split} of task {task!r}; expected class numbers or class names")
    if all(isinstance(label, int) for label in found):
        if min(found) < 0:
            raise ValueError(f"label {min(found)} in split {split} of task {task!r}; expected numbers from 0")
        own = [str(i) for i in range(max(found) + 1)]
    else:
        own = sorted(found)
    if other := sorted(set(own) - set(names or own)):
        raise ValueError(f"split {split} of task {task!r} has other classes than train: {other[:5]}")
    return rows.cast_column("label", ClassLabel(names=names or own))


def image_folders(folder: Path) -> DatasetDict | None:
    """Images from ``folder/SPLIT/CLASS/*``, labelled with CLASS; None where there is no such split.

    Raises: ValueError for two folders of one split, a split without class folders beside one that has them, or a class
    folder without images.
    """
    parts, flat = DatasetDict(), []
    for split, names in splits.SPLITS.items():
        found = [folder / name for name in names if (folder / name).is_dir()]
        if not found:
            continue
        rows: dict[str, list] = {"image": [], "label": []}
        for path in sorted(child for child in found[0].iterdir() if child.is_dir() and _seen(child)):
            files = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES and _seen(file))
            if not files:
                raise ValueError(f"class folder {str(path)!r} holds no images ({', '.join(SUFFIXES)})")
            rows["image"] += files
            rows["label"] += [path.name] * len(files)
        if not rows["image"]:
            flat.append(found[0].name)
            continue
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ValueError(f"data_dir {str(folder)!r} has several folders for {split}: {names}; keep one")
        parts[split] = Dataset.from_dict(rows).cast_column("image", Image())
    if parts and flat:
        raise ValueError(f"{str(folder / flat[0])!r} holds no class folders; the other splits have some")
    return parts or None


def _seen(path: Path) -> bool:
    # Not what Jupyter (.ipynb_checkpoints) or macOS (._picture.png) put beside it.
    return not path.name.startswith(".")


TASKS = {
    task.name: task
    for task in (
        ImageTask("images"),  # a folder of one's own
        ImageTask("digits"),
        ImageTask("pets", ("timm/oxford-iiit-pet",)),
        ImageTask("cars", ("tanganke/stanford_cars",)),
        ImageTask("dtd", ("tanganke/dtd",)),
        ImageTask("eurosat", ("timm/eurosat-rgb",)),
        ImageTask("fgvc", ("HuggingFaceM4/FGVC-Aircraft", "variant"), ("image", "variant")),
        ImageTask("resisc45", ("timm/resisc45",)),
        ImageTask("cifar100", ("uoft-cs/cifar100",), ("img", "fine_label")),
    )
}
