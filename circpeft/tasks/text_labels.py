"""Check the labels of texts, and convert them to the task's numbers, by their names if the data has names."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from datasets import ClassLabel, Dataset, Value

from ..suggest import nearest

ROW_NUMBERS = {"idx", "index", "id", "guid", "Unnamed: 0", "__index_level_0__"}


def all_missing(rows: Dataset, column: str = "label") -> bool:
    """Return whether no row has a label: all are -1 (as in GLUE), None, or blank."""
    return all(_blank(label) for label in rows[column])


def _blank(label: object) -> bool:
    return label in (None, -1, "-1", "") or label != label


def hidden(test: Dataset, train: Dataset, names: tuple[str, ...] = ("label",)) -> bool:
    """Return whether a test split has no labels: its label column is blank, or it has no such column.

    A column with a similar name, or one that train lacks, may be a mistyped label column; then the labels count as
    present, so that the missing column raises an error.

    Args:
        test, train: the splits.
        names: names that the label column may have; the first that exists counts.
    """
    column = next((name for name in names if name in test.column_names), None)
    if column:
        return all_missing(test, column)
    only_in_test = {*test.column_names} - {*train.column_names} - ROW_NUMBERS
    return not only_in_test and not any(get_close_matches(name, test.column_names, 1) for name in names)


def numbered(task: str, split: str, rows: Dataset, names: tuple[str, ...], bounds: tuple | None) -> Dataset:
    """Return the rows with the task's numbers in the column "label".

    A label with a name gets the number that the task gives to this name, whatever its position in the data's list of
    names. Numbers written as text become numbers. Other numbers stay as they are. So do true and false, unless class 1
    is the negation of class 0: then true would mean 0.

    Args:
        task, split: names, for errors.
        rows: the rows of the split.
        names: the task's classes; empty for regression.
        bounds: the smallest and largest label of a regression.

    Raises: ValueError for a label that the task does not have, with its row; for labels of several types; and for a
    list of names that is not the task's.
    """
    feature, given = rows.features["label"], rows["label"][:]
    if isinstance(feature, ClassLabel):
        number_of = _numbers_of_names(task, split, feature.names, names)
        values, changed = [number_of.get(label) for label in given], number_of != {i: i for i in number_of}
    else:
        _check_types(task, split, given)
        values = [_number(label, names) if isinstance(label, str) else label for label in given]
        changed = isinstance(given[0], str)
    wrong = [row for row, value in enumerate(values) if not _is_valid(value, names, bounds)]
    if wrong:
        shown = len({repr(given[row]) for row in wrong})
        raise ValueError(
            f"label {given[wrong[0]]!r} in split {split} (row {wrong[0]}) is not one of the labels of task {task!r}: "
            f"{_expected(given[wrong[0]], names, bounds)}"
            + (f" ({shown} such values)" if shown > 1 else "")
            + ("; label every row of test, or none" if split == "test" and _blank(given[wrong[0]]) else "")
        )
    if not changed:
        return rows
    return rows.remove_columns("label").add_column("label", values, feature=Value("int64" if names else "float64"))


def check_classes(task: str, train: Dataset, names: tuple[str, ...]) -> None:
    """Raise ValueError if all training rows have the same class."""
    if names and len(present := {*train["label"]}) == 1:
        raise ValueError(f"train of task {task!r} has one class, {names[int(*present)]!r}; at least two are needed")


def _numbers_of_names(task: str, split: str, given: list[str], names: tuple[str, ...]) -> dict[int, float | None]:
    """Return the task's number for each of the data's numbers, given the data's list of names."""
    numbers = [_number(name, names) for name in given]
    if {*given} != {*names} and not all(
        _number(name, ()) == number is not None for name, number in zip(given, numbers, strict=True)
    ):
        other = next((name for name, number in zip(given, numbers, strict=True) if number is None), given[0])
        expected = f"those of task {task!r}; {nearest(other, names)}" if names else f"numbers, as in task {task!r}"
        raise ValueError(f"labels of split {split} are named {', '.join(given[:8])}; expected {expected}")
    return dict(enumerate(numbers))


def _number(label: str, names: tuple[str, ...]) -> float | None:
    if label in names:
        return names.index(label)
    try:
        value = float(label)
    except ValueError:
        return None
    return int(value) if value.is_integer() else value


def _is_valid(value: object, names: tuple[str, ...], bounds: Any) -> bool:
    if not isinstance(value, (int, float)):
        return False
    if isinstance(value, bool) and (not names or names[1] == f"not_{names[0]}"):  # true would mean 0
        return False
    return value in range(len(names)) if names else bounds[0] <= value <= bounds[1]


def _expected(label: object, names: tuple[str, ...], bounds: Any) -> str:
    if not names:  # a comma in a text may be that of a decimal fraction
        several = "" if isinstance(label, str) else one_per_row(label)
        return f"{several}numbers from {bounds[0]} to {bounds[1]}"
    similar = get_close_matches(str(label).lower(), names, n=1)
    hint = one_per_row(label) or (f"did you mean {similar[0]!r}? " if similar else "")
    choices = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
    return f"{hint}{choices}, all by number or all by name"


def one_per_row(label: object) -> str:
    """Return "one label per row: " for a label that holds several, as a list or with separators; "" for any other.

    >>> one_per_row([0, 1]), one_per_row("0; 1"), one_per_row("positive")
    ('one label per row: ', 'one label per row: ', '')
    """
    several = not isinstance(label, str) or re.search(r"\S\s*[,;|]\s*\S", label)
    return "one label per row: " if several and isinstance(label, (list, dict, str)) else ""


def _check_types(task: str, split: str, labels: list) -> None:
    """Raise ValueError if some labels are text and others are not."""
    present = [(row, label) for row, label in enumerate(labels) if label is not None]
    for row, label in present:
        if isinstance(label, str) != isinstance(present[0][1], str):
            raise ValueError(
                f"label {label!r} in split {split} (row {row}) of task {task!r} has another type than "
                f"{present[0][1]!r} in row {present[0][0]}; write all as numbers, or all as text"
            )
