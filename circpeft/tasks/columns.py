"""Checks and names of a task's columns."""

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches

from datasets import Dataset, DatasetDict, Value

from .column_meanings import TURNS, meaning_of


def composed(text: str) -> str:
    """Return a text with each accented letter as one character. macOS stores it as two in file names.

    >>> len("e\u0301"), len(composed("e\u0301"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", text)


def with_composed(rows: Dataset, column: str) -> Dataset:
    """Return the rows with the texts of a column composed, see `composed`."""
    values = rows[column][:]
    texts = [composed(value) if isinstance(value, str) else value for value in values]
    if texts == values:
        return rows
    return rows.remove_columns(column).add_column(column, texts, feature=rows.features[column])


def check_texts(task: str, split: str, rows: Dataset, column: str, integers: bool = False) -> None:
    """Raise ValueError for the first value of a column that is missing or not a text (or an integer, if allowed)."""
    feature = rows.features[column]
    if isinstance(feature, Value) and "string" in feature.dtype and not rows.data.column(column).null_count:
        return
    types = {str, int} if integers else {str}
    row = next((i for i, text in enumerate(rows[column]) if type(text) not in types), None)
    if row is not None:
        raise ValueError(
            f"row {row} of split {split} of task {task!r} has {repr(rows[row][column])[:80]} in column {column!r}; "
            f"expected a text{' or a whole number' if integers else ''}"
        )


def check_column(task: str, split: str, rows: Dataset, column: str, others: Sequence[str] = ()) -> None:
    """Raise ValueError for a missing column, with the nearest name that is not another column of the task."""
    names = rows.column_names
    if column in names:
        return
    same = [name for name in names if name.strip().lower() == column.lower()]
    candidates = [name for name in names if name not in others] or names
    if same:
        hint = f"rename {same[0]!r}: capital letters and blanks count"
    elif similar := get_close_matches(column, candidates, n=1):
        hint = f"rename {similar[0]!r} to {column!r}"
    else:
        hint = f"the split has {', '.join(names)}"
    turns = [name for name in names if meaning_of("instructions", name) is TURNS]
    if turns and others:
        hint += f"; {turns[0]!r} is not read: write each turn as a row with the columns {', '.join(others)}"
    if {"chosen", "rejected"} <= {*names} and "label" not in others and [column] == [*others][-1:]:
        hint += f"; only one answer is learnt: rename 'chosen' to {column!r} and remove 'rejected'"
    raise ValueError(f"column {column!r} is missing in split {split} of task {task!r}; {hint}")


def rename_columns(data: DatasetDict, publisher_names: tuple[tuple[str, str], ...]) -> DatasetDict:
    """Return the data with a task's names of columns.

    Args:
        data: the splits.
        publisher_names: pairs of the publisher's name and the task's name. A column is renamed if the split has no
            column with the task's name.
    """
    renamed = DatasetDict()
    for split, rows in data.items():
        columns = rows.column_names
        renamed[split] = rows.rename_columns(
            {old: new for old, new in publisher_names if old in columns and new not in columns}
        )
    return renamed
