"""Rows of json and jsonl, read so that no value is changed, whatever the others of its column look like.

The readers of datasets and pyarrow tell what kind a column is of by the first part of a file. A text that looks like a
date becomes one there, and a column of several kinds is spelled anew in the parts where they meet.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import datasets
from datasets import Dataset

BLANK = re.compile(r"[\s\ufeff]*")
# Kinds of values that are kept beside each other in a column of a table.
PLAIN = ({str}, {bool}, {int}, {int, float})
EXACT = 2**53  # integers from there on are not all floating-point numbers
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
    only = rows[0] if len(rows) == 1 else None
    if isinstance(only, dict) and only and all(isinstance(value, (list, dict)) for value in only.values()):
        raise ValueError(
            f"{place!r} is one object of lists or objects ({', '.join([*rows[0]][:8])}); expected a list of rows, "
            f"[{{...}}, {{...}}], or a row a line"
        )
    return _table(rows, [f"row {number} of {place!r}" for number in range(len(rows))])


def join(files: list[tuple[str, bytes]]) -> Dataset:
    """The rows of files that hold one object each: what each is called in errors, and its bytes.

    Raises: ValueError for no file, a file that is not UTF-8 or that holds nothing or more than one value, and what
    `read` refuses of a row.

    >>> join([("1.json", b'{"problem": "1+1"}'), ("2.json", b'{"problem": "1+2"}')])["problem"][:]
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
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    if not columns:
        raise ValueError("no data")
    parts = []
    for name, values in columns.items():
        _check(name, values, places)
        features = None
        if not _plain(values) and hasattr(datasets, "Json"):  # the kind of a column of several came after 4.0
            # As texts of JSON: of a text that looks like JSON datasets would take what it says.
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            features = datasets.Features({name: datasets.Json()})
        parts.append(Dataset.from_dict({name: values}, features=features))
    return datasets.concatenate_datasets(parts, axis=1)


def _plain(values: list) -> bool:
    """Whether a column of a table holds these values as they are."""
    kinds = {*map(type, values)} - {type(None)}
    if not any(kinds <= plain for plain in PLAIN):
        return False
    limit = EXACT if float in kinds else 2**63
    return not kinds & {int} or all(type(value) is not int or -limit <= value < limit for value in values)


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
        except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
            if repr(place) in str(error):
                raise
            raise ValueError(f"cannot read {place!r} as json: {error}") from error
        yield value
        at = BLANK.match(text, at).end()


def _check(name: str, values: list, places: list[str]) -> None:
    """Raise ValueError for values that no column holds: half of a character, or a number of more than 64 bits."""
    for place, value in zip(places, values, strict=True):
        for leaf in _leaves(value):
            if isinstance(leaf, str) and HALF.search(leaf):
                raise ValueError(f"{place} has half of a character in column {name!r}, {leaf[:80]!r}; expected a text")
            if isinstance(leaf, int) and not -(2**63) <= leaf < 2**64:
                raise ValueError(f"{place} has {leaf} in column {name!r}, more than 64 bits; expected it as text")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
