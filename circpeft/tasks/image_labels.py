"""Convert the labels of images to class numbers, by the names of the classes."""

from __future__ import annotations

import unicodedata
import warnings
from difflib import get_close_matches
from typing import Any

from datasets import ClassLabel, Dataset

from .columns import composed
from .text_labels import one_per_row

MOST_CLASSES = 1000  # unless there are as many rows


def numbered(task: str, split: str, rows: Dataset, classes: list[str] | None) -> Dataset:
    """Return the rows with class numbers in the column "label".

    Classes without names are named by their numbers. These start at 0, or at 1 if train has every number from 1 to its
    largest. A number such as 1.0 is a class number too: pandas writes these if some labels are missing.

    Names that are written with the same characters are one class, whether an accented letter is stored as one
    character or as two, as macOS does in names of folders. Names that differ only by capital letters cause a warning.

    Args:
        task, split: names, for errors.
        rows: the rows of the split.
        classes: names of the classes in train; None for train itself.

    Raises: ValueError for labels that are not all numbers or all names; for numbers that would make 1,000 classes or
    more, and more than there are rows (IDs, for example); for a single class in train; for two names that differ only
    by surrounding blanks or invisible characters; and for a class that train does not have.
    """
    feature, labels = rows.features["label"], rows["label"][:]
    if isinstance(feature, ClassLabel):
        for row, label in enumerate(labels):
            if label not in range(feature.num_classes):
                raise ValueError(f"{_has(task, split, row, label)}; expected 0 to {feature.num_classes - 1}")
        names = [composed(name) for name in feature.names]
        own, named = list(dict.fromkeys(names)), [names[label] for label in labels]
    else:
        own, named = _names(task, split, labels, classes)
    if classes is None:
        if len(set(named)) < 2:
            raise ValueError(f"train of task {task!r} has one class, {named[0]!r}; at least two are needed")
        _check_similar(task, own)
        classes = own
    if other := sorted(set(named) - set(classes)):
        close = get_close_matches(other[0], classes, 3, 0)  # not all classes: there may be hundreds
        raise ValueError(
            f"split {split} of task {task!r} has classes that train lacks: {other[:5]}; the nearest in train: {close}"
        )
    if isinstance(feature, ClassLabel) and feature.names == classes:
        return rows
    numbers = {name: number for number, name in enumerate(classes)}
    values = [numbers[name] for name in named]
    return rows.remove_columns("label").add_column("label", values, feature=ClassLabel(names=classes))


def _names(task: str, split: str, labels: list, known: list[str] | None) -> tuple[list[str], list[str]]:
    """Return the classes (found in the labels, unless known) and the name of each label's class."""
    first_type: Any = None
    values: list[Any] = []
    for row, label in enumerate(labels):
        if isinstance(label, float) and label.is_integer():
            label = int(label)
        if not isinstance(label, (int, str)) or isinstance(label, str) and not label.strip():
            raise ValueError(
                f"{_has(task, split, row, label)}; expected {one_per_row(label)}class numbers or class names"
            )
        first_type = first_type or type(label)
        if not isinstance(label, first_type):
            raise ValueError(f"{_has(task, split, row, label)}, but row 0 has {labels[0]!r}; use one type of labels")
        if first_type is not str and label < 0:
            raise ValueError(f"{_has(task, split, row, label)}; expected class numbers, counted from 0")
        values.append(composed(label) if first_type is str else int(label))
    if known is not None:
        return known, [str(value) for value in values]
    if first_type is not str and max(values) >= max(MOST_CLASSES, len(values)):
        row = values.index(max(values))
        raise ValueError(
            f"{_has(task, split, row, labels[row])}, which makes {max(values) + 1} classes of {len(values)} rows; "
            f"expected class numbers, counted from 0, or names such as 'id {max(values)}'"
        )
    # A number that train lacks may be a class in test; but 0 is not, where train counts from 1 without a gap.
    classes = sorted(set(values))
    if first_type is not str and classes != [*range(1, len(classes) + 1)]:
        classes = [*range(max(values) + 1)]
    return [str(name) for name in classes], [str(value) for value in values]


def _check_similar(task: str, names: list[str]) -> None:
    """Raise ValueError for two classes that look the same; warn of two that differ only by capital letters."""
    by_look: dict[str, str] = {}
    for name in sorted(names, key=len):
        look = "".join(c for c in name if unicodedata.category(c) != "Cf").strip()  # Cf: such as a zero-width space
        if look in by_look:
            raise ValueError(
                f"train of task {task!r} has classes {name!r} and {by_look[look]!r}, which differ only by blanks or "
                f"invisible characters; rename one of them"
            )
        by_look[look] = name
    by_letters: dict[str, str] = {}
    for name in filter(lambda name: len(name) > 1, names):  # "a" and "A" are classes of handwriting
        if (other := by_letters.setdefault(name.casefold(), name)) != name:
            warnings.warn(
                f"task {task!r}: classes {other!r} and {name!r} differ only by capital letters and count as two",
                stacklevel=2,
            )


def _has(task: str, split: str, row: int, label: object) -> str:
    return f"row {row} of split {split} of task {task!r} has label {label!r}"


__all__ = ["numbered"]
