"""Labels of texts as the task's numbers: checked, and told by their names where the data has names."""

from __future__ import annotations

from difflib import get_close_matches

from datasets import ClassLabel, Dataset, Value

from ..suggest import nearest

ROW_NUMBERS = {"idx", "index", "id", "guid", "Unnamed: 0", "__index_level_0__"}


def missing(rows: Dataset, column: str = "label") -> bool:
    """Whether a column of labels says nothing in any row: -1 as GLUE has it, none, or blank."""
    return all(_blank(label) for label in rows[column])


def _blank(label: object) -> bool:
    return label in (None, -1, "-1", "") or label != label


def hidden(test: Dataset, train: Dataset, names: tuple[str, ...] = ("label",)) -> bool:
    """Whether test has no labels: none in the first of the columns ``names`` that is there, or no such column.

    Not where a column stands in for it: one of a similar name, or one that train lacks.
    """
    column = next((name for name in names if name in test.column_names), None)
    if column:
        return missing(test, column)
    further = {*test.column_names} - {*train.column_names} - ROW_NUMBERS
    return not further and not any(get_close_matches(name, test.column_names, 1) for name in names)


def numbered(task: str, split: str, rows: Dataset, names: tuple[str, ...], bounds: tuple | None) -> Dataset:
    """The rows with the column "label" in the task's numbers: of its classes ``names``, or within ``bounds``.

    Names become numbers by what they say, not by where they stand in the data's own list; numbers as text become
    numbers. Numbers stay as they are, and true and false, unless the class of number 1 is the other's negation.

    Raises: ValueError for a label outside of the task's, with its row; for labels of several kinds; or for a list of
    names that is not the task's.
    """
    feature, given = rows.features["label"], rows["label"][:]
    if isinstance(feature, ClassLabel):
        own = _own(task, split, feature.names, names)
        values, changed = [own.get(label) for label in given], own != {i: i for i in own}
    else:
        _check_kinds(task, split, given)
        values = [_number(label, names) if isinstance(label, str) else label for label in given]
        changed = isinstance(given[0], str)
    wrong = [row for row, value in enumerate(values) if not _legal(value, names, bounds)]
    if wrong:
        shown = len({repr(given[row]) for row in wrong})
        raise ValueError(
            f"label {given[wrong[0]]!r} in split {split} (row {wrong[0]}) is outside of task {task!r}'s labels: "
            f"{_expected(names, bounds)}"
            + (f" ({shown} such values)" if shown > 1 else "")
            + ("; label every row of test, or none" if split == "test" and _blank(given[wrong[0]]) else "")
        )
    if not changed:
        return rows
    return rows.remove_columns("label").add_column("label", values, feature=Value("int64" if names else "float64"))


def check_classes(task: str, train: Dataset, names: tuple[str, ...]) -> None:
    """Raise ValueError for numbered training rows that are all of one class."""
    if names and len(there := {*train["label"]}) == 1:
        raise ValueError(f"train of task {task!r} has one class, {names[int(*there)]!r}; at least two are needed")


def _own(task: str, split: str, own: list[str], names: tuple[str, ...]) -> dict[int, float | None]:
    """The task's number for each of the data's own."""
    numbers = [_number(name, names) for name in own]
    if {*own} != {*names} and not all(
        _number(name, ()) == number is not None for name, number in zip(own, numbers, strict=True)
    ):
        other = next((name for name, number in zip(own, numbers, strict=True) if number is None), own[0])
        expected = f"those of task {task!r}; {nearest(other, names)}" if names else f"numbers, as task {task!r} has"
        raise ValueError(f"labels of split {split} are named {', '.join(own[:8])}; expected {expected}")
    return dict(enumerate(numbers))


def _number(label: str, names: tuple[str, ...]) -> float | None:
    if label in names:
        return names.index(label)
    try:
        value = float(label)
    except ValueError:
        return None
    return int(value) if value.is_integer() else value


def _legal(value: object, names: tuple[str, ...], bounds: tuple | None) -> bool:
    if not isinstance(value, (int, float)):
        return False
    if isinstance(value, bool) and (not names or names[1] == f"not_{names[0]}"):  # true would say not
        return False
    return value in range(len(names)) if names else bounds[0] <= value <= bounds[1]


def _expected(names: tuple[str, ...], bounds: tuple | None) -> str:
    if not names:
        return f"numbers from {bounds[0]} to {bounds[1]}"
    return f"{', '.join(f'{number} ({name})' for number, name in enumerate(names))}, all by number or all by name"


def _check_kinds(task: str, split: str, labels: list) -> None:
    there = [(row, label) for row, label in enumerate(labels) if label is not None]
    for row, label in there:
        if isinstance(label, str) != isinstance(there[0][1], str):
            raise ValueError(
                f"label {label!r} in split {split} (row {row}) of task {task!r} is of another kind than "
                f"{there[0][1]!r} in row {there[0][0]}; write all as numbers, or all as text"
            )
