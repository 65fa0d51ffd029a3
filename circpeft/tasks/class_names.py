"""Names of classes in a column beside the labels, such as "positive" for 1: both have to agree in all splits."""

from __future__ import annotations

from typing import Any

from ..data_folders.split_names import normalized
from .columns import composed


class ClassNames:
    """The names of classes in one column, with the classes of the labels beside them.

    Args:
        task: the name of the task.
        classes: the task's classes; empty if they come from the data.
        column: the column of names.
    """

    def __init__(self, task: str, classes: tuple[str, ...], column: str) -> None:
        self.task, self.classes, self.column = task, classes, column
        self._spelt = {normalized(name): name for name in classes}
        self._first: dict[tuple[str, Any], tuple[Any, str, str, int]] = {}  # what a class or a name was first seen with

    def agree(self, split: str, labels: list, names: list, feature: Any) -> bool:
        """Return whether a row of a split has both a label and a name, or no row has a name.

        Rows without a label or without a name do not count.

        Args:
            split: the split.
            labels, names: the values of both columns.
            feature: the type of the labels.

        Raises: ValueError for a name that belongs to another class, for a class with two names, and for a name with two
        classes, in this split or an earlier one.
        """
        named = [row for row, name in enumerate(names) if name is not None and str(name).strip()]
        both = [row for row in named if isinstance(names[row], str) and _is_label(labels[row])]
        for row in both:
            self._check(split, row, labels[row], names[row], feature)
        return bool(both) or not named

    def _check(self, split: str, row: int, label: Any, name: str, feature: Any) -> None:
        where = f"row {row} of split {split} of task {self.task!r} has label {label!r}"
        given, spelt = _class_of(label, feature, self.classes), composed(name).strip().casefold()
        if given in self.classes and given != self._spelt.get(normalized(name), given):
            raise ValueError(
                f"{where} ({given}), but {name!r} in column {self.column!r}; correct one, or remove the column"
            )
        for kind, key, value, shown in (
            ("label", given, spelt, repr(name)),
            ("name", spelt, given, f"label {label!r}"),
        ):
            other, other_shown, other_split, at = self._first.setdefault((kind, key), (value, shown, split, row))
            if other != value:
                place = f"row {at}" if other_split == split else f"row {at} of split {other_split}"
                raise ValueError(
                    f"{where} and {name!r} in column {self.column!r}, but {place} has {other_shown} for this {kind}; "
                    f"correct one, or remove the column"
                )


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and value.strip() != "-1"
    return isinstance(value, (int, float)) and value == value and value != -1


def _class_of(label: Any, feature: Any, classes: tuple[str, ...]) -> Any:
    """Return the name of a label's class if it is known, and its number otherwise."""
    own = getattr(feature, "names", ())
    if not isinstance(label, str) and 0 <= label < len(own):
        label = own[label]
    if isinstance(label, str):
        try:
            label = float(label)
        except ValueError:
            return composed(label)
    return classes[int(label)] if 0 <= label < len(classes) else label
