"""Find the columns that a task does not use: refuse those that would change what is learnt, and list the others."""

from __future__ import annotations

import re
from typing import Any

from datasets import Dataset, DatasetDict

from ..data_folders.split_names import SPLITS, normalized, split_named
from .class_names import ClassNames
from .column_meanings import LABEL_TEXTS, SPLIT_COLUMNS, TURNS, UNINTERESTING, WEIGHTS, Meaning, meaning_of

FEWEST_WORDS = 3  # of a text that counts as seen wherever another text contains it
ROLES = {"user": 0, "human": 0, "assistant": 1, "gpt": 1, "model": 1}  # of a single exchange, in this order


def unused_columns(task: Any, data: DatasetDict) -> list[str]:
    """Return the columns that a task does not use, each with what it holds if its name says so.

    Columns that number the rows or say where they come from are left out. So are columns that add nothing: blank
    values, one weight for all rows, texts that the used columns contain, and names of classes that agree with the
    labels.

    Args:
        task: the task.
        data: the splits as they were read.

    Raises: ValueError for a column that the kind of task refuses (see `column_meanings.MEANINGS`), for a row that names
    another split than its own, and for names of classes that do not agree with the labels (see `ClassNames`).
    """
    named: dict[str, str] = {}
    class_names: dict[str, ClassNames] = {}
    for split, rows in ((split, data[split]) for split in SPLITS if split in data):
        used = task.used_columns(rows.column_names)
        label = {"text": "label", "images": used[1]}.get(task.kind, "")
        for column in rows.column_names:
            if column in used or normalized(column) in UNINTERESTING:
                continue
            meaning = meaning_of(task.kind, column)
            if normalized(column) in LABEL_TEXTS and label in rows.column_names:
                known = class_names.setdefault(column, ClassNames(task.name, task.labels, column))
                labels, names = _values(rows, label), _values(rows, column)
                if task.metric != "pearson" and known.agree(split, labels, names, rows.features[label]):
                    continue
            elif normalized(column) in SPLIT_COLUMNS and _agree_with_split(task, split, rows, column):
                continue
            elif meaning:
                values = _values(rows, column)
                if not meaning.numbers and _are_numbers(values):
                    named.setdefault(column, column)
                    continue
                adding = _adding_row(meaning, values, _texts_of(task, rows))
                if adding is None:
                    continue
                if meaning.advice and not (meaning is TURNS and all(map(_is_one_exchange, values))):
                    advice = meaning.advice.format(question=repr(task.columns[0]), answer=repr(task.columns[-1]))
                    raise ValueError(
                        f"split {split} of task {task.name!r} has a column {column!r} ({meaning.what}), which the task "
                        f"does not use: row {adding} has {repr(values[adding])[:80]}; {advice}"
                    )
            named[column] = f"{column} ({meaning.what})" if meaning else column
    return list(named.values())


def _values(rows: Dataset, column: str) -> list:
    """Return the values of a column; images and sounds are not decoded."""
    if type(rows.features[column]).__name__ == "Json":  # stored as text
        return rows[column][:]
    return rows.select_columns([column]).with_format("arrow")[:].column(column).to_pylist()


def _texts_of(task: Any, rows: Dataset) -> list[list]:
    """Return the columns of texts that a task's model sees."""
    seen = task.columns if task.kind == "text" else ()
    if task.kind == "instructions":
        seen = (*task.columns[:-1], *({task.optional} & {*rows.column_names}))
    return [rows[column][:] for column in seen]


def _adding_row(meaning: Meaning, values: list, seen: list[list]) -> int | None:
    """Return the first row whose value adds something to the columns that the model sees, or None.

    A blank value adds nothing, nor does a weight that all rows have, nor a text that a seen one contains.
    """
    if meaning is WEIGHTS:
        return next((row for row, value in enumerate(values) if value != values[0]), None)
    filled = [row for row, value in enumerate(values) if not _is_blank(value)]
    if not all(isinstance(values[row], str) for row in filled):
        return filled[0] if filled else None
    return next((r for r in filled if not any(_contains(str(texts[r]), values[r]) for texts in seen)), None)


def _contains(text: str, part: str) -> bool:
    """Return whether a text contains another one as whole lines, or anywhere if that one has several words."""
    lines, inner = ("\n".join(" ".join(line.split()) for line in t.strip().splitlines()) for t in (text, part))
    if f"\n{inner}\n" in f"\n{lines}\n":
        return True
    words = " ".join(part.split())
    if words.count(" ") + 1 < FEWEST_WORDS or words not in (joined := " ".join(text.split())):
        return False
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", joined) is not None


def _are_numbers(values: list) -> bool:
    filled = [value for value in values if not _is_blank(value)]
    return bool(filled) and all(isinstance(value, (int, float)) for value in filled)


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (list, dict)):
        return all(map(_is_blank, value.values() if isinstance(value, dict) else value))
    return value is None or value is False or value != value


def _is_one_exchange(turns: Any) -> bool:
    """Return whether a conversation has at most a question and its answer, both as plain text."""
    if _is_blank(turns):
        return True
    if not isinstance(turns, list) or len(turns) > 2 or not all(isinstance(turn, dict) for turn in turns):
        return False
    filled = [{name: value for name, value in turn.items() if not _is_blank(value)} for turn in turns]
    known: dict[Any, int] = {**ROLES}
    roles = [known.get(turn.get("role", turn.get("from"))) for turn in filled]
    return roles == [0, 1][: len(turns)] and all(
        len(turn) == 2 and isinstance(turn.get("content", turn.get("value")), str) for turn in filled
    )


def _agree_with_split(task: Any, split: str, rows: Dataset, column: str) -> bool:
    """Return whether all rows name the split that they are in.

    Raises: ValueError for a row that names another split.
    """
    names = [split_named(value.strip()) if isinstance(value, str) else None for value in _values(rows, column)]
    other = next((row for row, name in enumerate(names) if name not in (None, split)), None)
    if other is not None:
        raise ValueError(
            f"row {other} of split {split} of task {task.name!r} has {rows[column][other]!r} in column {column!r}, "
            f"which is not used: the names of files decide. Move the rows of each split into a file of its own, such "
            f"as {names[other]}.csv, or remove the column"
        )
    return None not in names
