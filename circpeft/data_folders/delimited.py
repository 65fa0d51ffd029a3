"""Tables of fields with separators, csv and tsv, read so that no text is changed or lost without a word.

In csv, texts may stand between quotes. In tsv, a quotation mark is a character like any other, as in GLUE's own files,
whose sentences have single ones: no text there holds a tab or a line end, and one that was quoted is refused.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from datasets import Dataset, Features, Value

DIALECTS = {"csv": {"strict": True}, "tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE}}
# What only a writer of csv leaves: quotes around a text, and the text's own ones doubled.
QUOTED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
LATE = re.compile(r'\s+"')
WHOLE = re.compile(r"\s*[-+]?\d{1,18}\s*")  # longer ones do not fit into 64 bits, and are names
NUMBER = re.compile(r"\s*[-+]?(?:\d{1,18}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*")
TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}  # pandas' spellings
HINTS = {
    "csv": 'put texts with commas between quotes, "like, this"',
    "tsv": "quotes are text in tsv, no tab or line end can be put between them; save it unquoted, or as .csv or .jsonl",
}


def read(
    file: BinaryIO, place: str, form: str, texts: tuple[str, ...] = (), headerless: tuple[str, ...] = ()
) -> Dataset:
    """The rows of a csv or tsv file; a column other than ``texts`` has numbers or booleans if all its values are.

    What kind a column is of is told by all of its rows. Blank values are empty texts, those of labels are missing.

    Args:
        file: opened for its bytes, which are UTF-8 with or without a mark.
        place: what it is called in errors.
        form: "csv" or "tsv".
        texts: columns whose values are texts, also where all of them look like numbers.
        headerless: columns of a tsv file whose first line names none of ``texts``.

    Raises: ValueError for a table without rows, a header with a name twice or with other separators, a first row that
    is none, a row with more or fewer fields than there are columns, and a name or a text that is quoted in tsv, or that
    in csv goes on behind its last quotation mark or has blanks before its first.

    >>> read(io.BytesIO(b"sentence,label\\n007,1\\n"), "train.csv", "csv", ("sentence",)).to_list()
    [{'sentence': '007', 'label': 1}]
    """
    rows = _rows(file, place, form)
    number, header = next(rows, (0, []))
    if form == "tsv" and len(header) == len(headerless) and not {*texts} & {*header}:
        rows, header = chain([(number, header)], rows), [*headerless]
    header = [name or f"Unnamed: {column}" for column, name in enumerate(header)]  # as pandas has it
    _check_header(header, place, form, texts)
    if twice := [name for name in header if header.count(name) > 1]:
        raise ValueError(f"the header of {place!r} has {twice[0]!r} twice; keep one")
    columns: dict[str, list] = {name: [] for name in header}
    for number, row in rows:
        if form == "tsv" and (quoted := next(filter(QUOTED.fullmatch, row), "")):
            raise ValueError(f"line {number} of {place!r} has {quoted[:80]!r}: {HINTS[form]}")
        if len(row) != len(header):
            raise ValueError(
                f"line {number} of {place!r} has {len(row)} fields, the header {len(header)} "
                f"({', '.join(header)}); {HINTS[form]}"
            )
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)
    if not any(columns.values()):
        raise ValueError("no data")
    made = {
        name: (values, Value("string")) if name in texts else _typed(name, values) for name, values in columns.items()
    }
    features = Features({name: kind for name, (_, kind) in made.items()})
    return Dataset.from_dict({name: values for name, (values, _) in made.items()}, features=features)


def _check_header(header: list[str], place: str, form: str, texts: tuple[str, ...]) -> None:
    """Raise ValueError where the names stand between quotes in tsv, have another separator in them, or are values."""
    if form == "tsv" and (quoted := [name for name in header if name[:1] == name[-1:] == '"' and name[1:-1] in texts]):
        raise ValueError(f"the header of {place!r} has {quoted[0]}: {HINTS[form]}")
    if {*texts} & {*header}:
        return
    which, marks = ("the only", ";\t|,") if len(header) == 1 else ("a", ";\t|" if texts else "")
    if found := next(((name, mark) for name in header for mark in marks if mark in name), None):
        raise ValueError(
            f"{which} column of {place!r} is {found[0][:80]!r}, with {found[1]!r} in it: separate fields by commas in "
            f".csv, by tabs in .tsv"
        )
    if texts and (value := next(filter(NUMBER.fullmatch, header), None)):
        raise ValueError(
            f"the first line of {place!r} has {value!r} among the names of columns; expected a line of names before "
            f"it, such as {', '.join(texts)}"
        )


def _rows(file: BinaryIO, place: str, form: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, and the line where each ends."""
    read: list[str] = []  # the row's lines, to tell a text that begins with a quotation mark from one between them

    def kept() -> Iterator[str]:
        for line in io.TextIOWrapper(file, "utf-8-sig", newline=""):
            read.append(line)
            yield line

    lines = csv.reader(kept(), **DIALECTS[form])
    limit = csv.field_size_limit(2**31 - 1)  # texts may be long
    try:
        for row in lines:
            late = [text for text in filter(LATE.match, row) if f",{text}" in f",{''.join(read)}"]
            if late and form == "csv":
                raise ValueError(
                    f"line {lines.line_num} of {place!r} has {late[0][:80]!r}: quotes count where no blank is before "
                    f"them; remove the blanks behind the commas"
                )
            read.clear()
            if len(row) > 1 or row and row[0].strip():
                yield lines.line_num, row
    except csv.Error as error:
        raise ValueError(
            f"line {lines.line_num} of {place!r}: {error}; a text that begins with a quotation mark ends with one, and "
            f'has its own doubled, "like ""this"" one"'
        ) from error
    finally:
        csv.field_size_limit(limit)


def _typed(name: str, values: list[str]) -> tuple[list, Value]:
    """A column's values as numbers or booleans if all of them are, and their kind; a text may be "NA" or "null"."""
    there = [value for value in values if value != "" or name != "label"]
    kinds = ((int, "int64", WHOLE), (float, "float64", NUMBER)) if there else ()
    if there and all(value in TRUTH for value in there):
        return [TRUTH.get(value) for value in values], Value("bool")
    for number, kind, pattern in kinds:
        if all(map(pattern.fullmatch, there)):
            return [number(value) if value else None for value in values], Value(kind)
    return [value if value or name != "label" else None for value in values], Value("string")
