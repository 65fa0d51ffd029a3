"""Checks and names of a task's columns."""

from collections.abc import Sequence
from difflib import get_close_matches

from datasets import Dataset, DatasetDict, Value


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
