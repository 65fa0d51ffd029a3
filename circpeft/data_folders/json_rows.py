"""Read json and jsonl files so that no value is changed, whatever else is in its column.

The readers of datasets and pyarrow infer the type of a column from the first part of a file. There, a text that looks
like a date becomes one, and values are rewritten where a column mixes types.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import datasets
from datasets import Dataset

from ..files import as_utf8
from .claimed_sizes import check_table

BLANK = re.compile(r"[\s\ufeff]*")
# Types of values that one column of a table can hold together.
COLUMN_TYPES = ({str}, {bool}, {int}, {int, float})
DEEPEST = 50  # levels of objects and lists in one another; Arrow stores no more than 64
LARGEST_EXACT = 2**53  # larger integers are not all representable as floating-point numbers
SURROGATE = re.compile("[\ud800-\udfff]")  # half of a character beyond the first 65,536; JSON can hold one by itself


def _after_blanks(text: str, position: int) -> int:
    match = BLANK.match(text, position)
    return match.end() if match else position


def read(file: BinaryIO, place: str) -> Dataset:
    """Read the rows of a file of JSON objects: one list of them, or one after another, as jsonl has one on each line.

    A value that a row lacks is None, and so is NaN, which Python writes for missing values of pandas. A column of
    several types keeps them all: the task decides which is meant.

    Args:
        file: opened in binary mode; UTF-8, with or without a byte order mark.
        place: the file's name in errors.

    Raises: ValueError for a file without rows, invalid JSON (with its line), a row that is not an object, a single
    object of columns, a name that occurs twice in an object, more than `DEEPEST` levels of objects and lists in one
    another, and values that a column cannot hold.

    >>> from io import BytesIO
    >>> read(BytesIO(b'{"sentence": "2024-02-01", "label": 1}\\n{"sentence": "a"}'), "train.jsonl").to_list()
    [{'sentence': '2024-02-01', 'label': 1}, {'sentence': 'a', 'label': None}]
    """
    rows = list(_values(file.read().decode(), place))
    if len(rows) == 1 and isinstance(rows[0], list):
        rows = rows[0]
    if not rows:
        raise ValueError("no data")
    single = rows[0] if len(rows) == 1 else None
    if isinstance(single, dict) and single and all(isinstance(value, (list, dict)) for value in single.values()):
        raise ValueError(
            f"{place!r} is one object of lists or objects ({', '.join([*rows[0]][:8])}); expected a list of rows, "
            f"[{{...}}, {{...}}], or one row on each line"
        )
    return _table(rows, [f"row {number} of {place!r}" for number in range(len(rows))])


def join(files: list[tuple[str, bytes]]) -> Dataset:
    """Read one row from each file.

    Args:
        files: the name of each file in errors, and its contents.

    Raises: ValueError for no files, a file that is not UTF-8 or does not hold exactly one value, and a row that `read`
    refuses.

    >>> join([("1.json", b'{"problem": "1+1"}'), ("2.json", b'{"problem": "1+2"}')])["problem"][:]
    ['1+1', '1+2']
    """
    rows = []
    for place, content in files:
        try:
            values = list(_values(as_utf8(content).decode(), place))
        except UnicodeDecodeError as error:
            raise ValueError(f"cannot read {place!r}: it is not UTF-8 ({error})") from error
        if len(values) != 1:
            raise ValueError(f"{place!r} holds {len(values)} values; expected one object, {{...}}")
        rows += values
    if not rows:
        raise ValueError("no data")
    return _table(rows, [repr(place) for place, _ in files])


def _table(rows: list, places: list[str]) -> Dataset:
    """Return the rows as a table; ``places`` tells where each row is, for errors."""
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, dict):
            raise ValueError(f"{place} is {repr(row)[:80]}; expected an object, {{...}}")
    names = dict.fromkeys(name for row in rows for name in row)
    check_table(places[0], len(rows), len(names))
    if half := next(filter(SURROGATE.search, names), None):
        place = next(place for row, place in zip(rows, places, strict=True) if half in row)
        raise ValueError(f"{place} has half of a character in the name {half[:80]!r}; expected a text")
    columns = {name: [row.get(name) for row in rows] for name in names}
    if not columns:
        raise ValueError("no data")
    parts = []
    for name, values in columns.items():
        _check(name, values, places)
        features = None
        if not _fits_column(values) and hasattr(datasets, "Json"):  # datasets has it since 4.1
            # Encoded as JSON first: otherwise datasets would parse a text that looks like JSON.
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            features = datasets.Features({name: datasets.Json()})
        parts.append(Dataset.from_dict({name: values}, features=features))
    return datasets.concatenate_datasets(parts, axis=1)


def _fits_column(values: list) -> bool:
    """Return whether a column of a table can hold these values unchanged."""
    types = {*map(type, values)} - {type(None)}
    if not any(types <= together for together in COLUMN_TYPES):
        return False
    limit = LARGEST_EXACT if float in types else 2**63
    return not types & {int} or all(type(value) is not int or -limit <= value < limit for value in values)


def _values(text: str, place: str) -> Iterator[Any]:
    """Yield the JSON values that follow one another in a text."""

    def with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"{place!r} has {repeated!r} twice in one object, {str(row)[:80]}; keep one")
        return row

    def constant(name: str) -> float | None:
        return None if name == "NaN" else float(name)

    decoder = json.JSONDecoder(object_pairs_hook=with_unique_names, parse_constant=constant)
    position = _after_blanks(text, 0)
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, character {error.colno}"
            raise ValueError(f"cannot read {place!r} as json: {where}: {error.msg}") from error
        except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
            if repr(place) in str(error):
                raise
            raise ValueError(f"cannot read {place!r} as json: {error}") from error
        if _is_deep(value):
            raise ValueError(f"cannot read {place!r} as json: it has more than {DEEPEST} levels of objects and lists")
        yield value
        position = _after_blanks(text, position)


def _is_deep(value: Any) -> bool:
    """Return whether objects and lists are in one another at more than `DEEPEST` levels."""
    level, depth = [value] if isinstance(value, (dict, list)) else [], 0
    while level and depth < DEEPEST:
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [inner for part in parts for inner in part if isinstance(inner, (dict, list))]
        depth += 1
    return bool(level)


def _check(name: str, values: list, places: list[str]) -> None:
    """Raise ValueError for values that no column can hold: half of a character, or an integer of more than 64 bits."""
    for place, value in zip(places, values, strict=True):
        for leaf in _leaves(value):
            if isinstance(leaf, str) and SURROGATE.search(leaf):
                raise ValueError(f"{place} has half of a character in column {name!r}, {leaf[:80]!r}; expected a text")
            if isinstance(leaf, int) and not -(2**63) <= leaf < 2**64:
                raise ValueError(f"{place} has {leaf} in column {name!r}, more than 64 bits; write it as text")


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the names and values in nested objects and lists."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
