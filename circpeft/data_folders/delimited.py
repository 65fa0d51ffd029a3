"""Read csv and tsv files so that no text is changed or lost silently.

In csv, texts may be quoted. In tsv, a quotation mark is a character like any other, as in GLUE's own files, where
sentences have unpaired ones. A text in tsv therefore cannot contain a tab or a line break, and a quoted one is refused.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from datasets import Dataset, Features, Value

from .claimed_sizes import check_table

DIALECTS: dict[str, dict[str, Any]] = {"csv": {"strict": True}, "tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE}}
# Only a writer of csv produces this: quotes around a text, and the quotation marks in it doubled.
CSV_QUOTED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
BLANK_BEFORE_QUOTE = re.compile(r'\s+"')
INTEGER = re.compile(r"\s*[-+]?\d{1,18}\s*")  # longer ones do not fit into 64 bits, and are names
NUMBER = re.compile(r"\s*[-+]?(?:\d{1,18}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*")
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}  # as in pandas
HINTS = {
    "csv": 'quote texts that contain commas, "like, this"',
    "tsv": "in tsv, quotes are text and cannot enclose a tab or a line break; save it unquoted, or as .csv or .jsonl",
}


def read(
    file: BinaryIO, place: str, form: str, texts: tuple[str, ...] = (), headerless: tuple[str, ...] = ()
) -> Dataset:
    """Read the rows of a csv or tsv file.

    A column that is not one of ``texts`` holds numbers or booleans if all of its values do. Blank values are empty
    texts; a blank label is missing.

    Args:
        file: opened in binary mode; UTF-8, with or without a byte order mark.
        place: the file's name in errors.
        form: "csv" or "tsv".
        texts: columns that hold texts, even where all values look like numbers.
        headerless: columns of a tsv file whose first line has none of ``texts``.

    Raises: ValueError for a table without rows; a header with a repeated name, other separators or values instead of
    names; a row with more or fewer fields than the header; a quoted name or text in tsv; and a text in csv that
    continues after its closing quotation mark, or has blanks before its opening one.

    >>> read(io.BytesIO(b"sentence,label\\n007,1\\n"), "train.csv", "csv", ("sentence",)).to_list()
    [{'sentence': '007', 'label': 1}]
    """
    rows = _rows(file, place, form)
    number, header = next(rows, (0, []))
    if form == "tsv" and len(header) == len(headerless) and not {*texts} & {*header}:
        rows, header = chain([(number, header)], rows), [*headerless]
    header = [name or f"Unnamed: {column}" for column, name in enumerate(header)]  # as in pandas
    if null := next((name for name in header if "\0" in name), None):
        raise ValueError(f"the header of {place!r} has {null[:80]!r}, with a null character; save it as text in UTF-8")
    _check_header(header, place, form, texts)
    check_table(place, 1, len(header))
    name, times = Counter(header).most_common(1)[0] if header else ("", 1)
    if times > 1:
        raise ValueError(f"the header of {place!r} has {name!r} twice; keep one")
    columns: dict[str, list] = {name: [] for name in header}
    for number, row in rows:
        if form == "tsv" and (quoted := next(filter(CSV_QUOTED.fullmatch, row), "")):
            raise ValueError(f"line {number} of {place!r} has {quoted[:80]!r}: {HINTS[form]}")
        if len(row) != len(header):
            raise ValueError(
                f"line {number} of {place!r} has {len(row)} fields, but the header has {len(header)} "
                f"({', '.join(header)}); {HINTS[form]}"
            )
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)
    if not any(columns.values()):
        raise ValueError("no data")
    typed = {
        name: (values, Value("string")) if name in texts else _typed(name, values) for name, values in columns.items()
    }
    features = Features({name: kind for name, (_, kind) in typed.items()})
    return Dataset.from_dict({name: values for name, (values, _) in typed.items()}, features=features)


def _check_header(header: list[str], place: str, form: str, texts: tuple[str, ...]) -> None:
    """Raise ValueError if names in tsv are quoted, contain another separator, or are values."""
    if form == "tsv" and (quoted := [name for name in header if name[:1] == name[-1:] == '"' and name[1:-1] in texts]):
        raise ValueError(f"the header of {place!r} has {quoted[0]}: {HINTS[form]}")
    if {*texts} & {*header}:
        return
    article, separators = ("the only", ";\t|,") if len(header) == 1 else ("a", ";\t|" if texts else "")
    if wrong := next(((name, mark) for name in header for mark in separators if mark in name), None):
        raise ValueError(
            f"{article} column of {place!r} is {wrong[0][:80]!r}, which contains {wrong[1]!r}; separate fields by "
            f"commas in .csv, by tabs in .tsv"
        )
    if texts and (value := next(filter(NUMBER.fullmatch, header), None)):
        raise ValueError(
            f"the first line of {place!r} has {value!r} among the names of columns; add a line of names before it, "
            f"such as {', '.join(texts)}"
        )


def _rows(file: BinaryIO, place: str, form: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its last line."""
    lines_of_row: list[str] = []  # to tell a text that begins with a quotation mark from a quoted one

    def recorded() -> Iterator[str]:
        with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            for line in text:
                lines_of_row.append(line)
                yield line

    lines = csv.reader(recorded(), **DIALECTS[form])
    limit = csv.field_size_limit(2**31 - 1)  # texts may be long
    try:
        for row in lines:
            source = f",{''.join(lines_of_row)}"
            unquoted = [text for text in filter(BLANK_BEFORE_QUOTE.match, row) if f",{text}" in source]
            if unquoted and form == "csv":
                raise ValueError(
                    f"line {lines.line_num} of {place!r} has {unquoted[0][:80]!r}, with a blank before the quotation "
                    f"mark, which makes the quotes text; remove the blanks after the commas"
                )
            lines_of_row.clear()
            if len(row) > 1 or row and row[0].strip():
                yield lines.line_num, row
    except csv.Error as error:
        raise ValueError(
            f"line {lines.line_num} of {place!r}: {error}; a text that begins with a quotation mark must end with one, "
            f'and quotation marks in it must be doubled, "like ""this"" one"'
        ) from error
    finally:
        csv.field_size_limit(limit)


def _typed(name: str, values: list[str]) -> tuple[list, Value]:
    """Convert a column to numbers or booleans if all its values are; "NA" and "null" are texts."""
    present = [value for value in values if value != "" or name != "label"]
    numeric = ((int, "int64", INTEGER), (float, "float64", NUMBER)) if present else ()
    if present and all(value in BOOLEANS for value in present):
        return [BOOLEANS.get(value) for value in values], Value("bool")
    for convert, dtype, pattern in numeric:
        if all(map(pattern.fullmatch, present)):
            return [convert(value) if value else None for value in values], Value(dtype)
    return [value if value or name != "label" else None for value in values], Value("string")
