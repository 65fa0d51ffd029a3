"""Rows of json and jsonl, read so that no value is changed, whatever the others of its column look like.

The readers of datasets and pyarrow tell what kind a column is of by the first part of a file. A text that looks like a
date becomes one there, and a column of several kinds is spelled anew in the parts where they meet.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import datasets
import pyarrow
from datasets import Dataset

BLANK = re.compile(r"[\s\ufeff]*")
HALF = re.compile("[\ud800-\udfff]")  # of a character outside of the first 65,536, which JSON can name alone


def read(file: BinaryIO, place: str) -> Dataset:
    """The rows of a file of objects: in one list, or one behind another, as jsonl has one a line.

    What a row lacks is None, and so is NaN, which Python writes for pandas' missing values. A column of several kinds
    keeps them, for the one who knows which it should be of.

    Args:
        file: opened for its bytes, which are UTF-8 with or without a mark.
        place: what it is called in errors.

    Raises: ValueError for a file without rows, what is no JSON (with its line), a row that is no object, one object
    of lists alone, a name twice in an object, and values that a column cannot hold.

    >>> from io import BytesIO
    >>> read(BytesIO(b'{"sentence": "2024-02-01", "label": 1}\\n{"sentence": "a"}'), "train.jsonl").to_list()
    [{'sentence': '2024-02-01', 'label': 1}, {'sentence': 'a', 'label': None}]
    """
    rows = list(_values(file.read().decode(), place))
    if len(rows) == 1 and isinstance(rows[0], list):
        rows = rows[0]
    if not rows:
        raise ValueError("no data")
    if len(rows) == 1 and isinstance(rows[0], dict) and all(isinstance(v, (list, dict)) for v in rows[0].values()):
        raise ValueError(
            f"{place!r} is one object of lists or objects ({', '.join([*rows[0]][:8])}); expected a list of rows, "
            f"[{{...}}, {{...}}], or a row a line"
        )
    return _table(rows, [f"row {number} of {place!r}" for number in range(len(rows))])


def joined(files: list[tuple[str, bytes]]) -> Dataset:
    """The rows of files that hold one object each: what each is called in errors, and its bytes.

    Raises: ValueError for no file, a file that is not UTF-8 or that holds nothing or more than one value, and what
    `read` refuses of a row.

    >>> joined([("1.json", b'{"problem": "1+1"}'), ("2.json", b'{"problem": "1+2"}')])["problem"][:]
    ['1+1', '1+2']
    """
    rows = []
    for place, content in files:
        try:
            found = list(_values(content.decode(), place))
        except UnicodeDecodeError as error:
            raise ValueError(f"cannot read {place!r}: it is not UTF-8 ({error})") from error
        if len(found) != 1:
            raise ValueError(f"{place!r} holds {len(found)} values; expected one object, {{...}}")
        rows += found
    if not rows:
        raise ValueError("no data")
    return _table(rows, [repr(place) for place, _ in files])


def _table(rows: list, places: list[str]) -> Dataset:
    """The rows as columns; ``places`` says where each stands."""
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, dict):
            raise ValueError(f"{place} is {repr(row)[:80]}; expected an object, {{...}}")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name, values in columns.items():
        _check(name, values, places)
    try:
        return Dataset.from_dict(columns)
    except pyarrow.ArrowException:
        if not hasattr(datasets, "Json"):  # the kind of a column of several, which came after datasets 4.0
            raise
        return Dataset.from_dict(columns, on_mixed_types="use_json")


def _values(text: str, place: str) -> Iterator[Any]:
    """The JSON values that stand one behind another."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in made if names.count(name) > 1)
            raise ValueError(f"{place!r} has {twice!r} twice in one object, {str(made)[:80]}; keep one")
        return made

    def constant(name: str) -> float | None:
        return None if name == "NaN" else float(name)

    decoder = json.JSONDecoder(object_pairs_hook=once, parse_constant=constant)
    at = BLANK.match(text).end()
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, character {error.colno}"
            raise ValueError(f"cannot read {place!r} as json: {where}: {error.msg}") from error
        yield value
        at = BLANK.match(text, at).end()


def _check(name: str, values: list, places: list[str]) -> None:
    """Raise ValueError for values that a table would change or cannot hold."""
    both = {*map(type, values)} >= {bool, float}  # of which true would become 1.0
    for place, value in zip(places, values, strict=True):
        where = f"{place} has"
        if isinstance(value, str) and HALF.search(value):
            raise ValueError(f"{where} half of a character in column {name!r}, {value[:80]!r}; expected a text")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"{where} {value} in column {name!r}, more than 64 bits; expected a number, or it as text")
        if both and isinstance(value, bool):
            raise ValueError(f"{where} {value} in column {name!r}, others are numbers such as 1.5; expected one kind")
