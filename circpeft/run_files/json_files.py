"""Read JSON files by their schemas: dataclasses whose types are checked, whatever a file holds.

A schema is a dataclass. Its types may be the names of this module, such as `Count`, which bound numbers and texts so
that no reader has to ask whether a value can be printed, averaged or drawn.

>>> from dataclasses import make_dataclass
>>> Score = make_dataclass("Score", [("seed", Count), ("score", Number)])
>>> import tempfile
>>> path = Path(tempfile.mkdtemp()) / "score.json"
>>> _ = path.write_text('{"seed": 1, "score": 0.5, "colour": "red"}')
>>> read(path, Score)
(Score(seed=1, score=0.5), ['colour'])
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from .. import limits

T = TypeVar("T")
SHOWN = 60  # characters of a wrong value that an error repeats
MOST_ERRORS = 3  # that one message names


class FileError(ValueError):
    """A file that cannot be used.

    Attributes:
        path: the file.
        reason: what is wrong with it, in one line: "has seed = -1, expected ...".
        newer: whether a newer version of circpeft wrote it, by the number of its schema.
    """

    def __init__(self, path: str | Path, reason: str, newer: bool = False, remedy: str = "") -> None:
        self.path, self.reason, self.newer = Path(path), reason, newer
        super().__init__(f"{path} {reason}" + (f"; {remedy}" if remedy else ""))


@dataclass(frozen=True)
class Within:
    """The bounds of a number, or of the length of a text. NaN and infinity are outside."""

    least: float
    most: float

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = handler(source)
        if schema["type"] == "str":
            return {**schema, "min_length": int(self.least), "max_length": int(self.most)}
        return {**schema, "ge": self.least, "le": self.most, **self._finite(schema)}

    @staticmethod
    def _finite(schema: Mapping[str, Any]) -> dict[str, bool]:
        return {"allow_inf_nan": False} if schema["type"] == "float" else {}


@dataclass(frozen=True)
class Holding:
    """The types of some keys of an object. It may have others, of any type."""

    required: Mapping[str, Any]
    optional: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def key(kind: Any, required: bool) -> Any:
            return core_schema.typed_dict_field(handler.generate_schema(kind), required=required)

        keys = {name: key(kind, True) for name, kind in self.required.items()}
        keys |= {name: key(kind, False) for name, kind in self.optional.items()}
        return core_schema.typed_dict_schema(keys, extra_behavior="allow")


class IsoTime:
    """A time as `datetime.isoformat` writes it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    @staticmethod
    def _checked(text: str) -> str:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("expected a time such as 2026-01-02T03:04:05+00:00") from None
        return text


Number = Annotated[float, Within(-1e15, 1e15)]
Positive = Annotated[float, Within(0, 1e30)]
Count = Annotated[int, Within(0, 2**63 - 1)]
Text = Annotated[str, Within(0, 100_000)]
Name = Annotated[str, Within(0, 1_000)]
Time = Annotated[str, IsoTime()]


def read(path: str | Path, kind: type[T], schema: int | None = None, remedy: str = "") -> tuple[T, list[str]]:
    """Read a file, and return its content with the names of its fields that the schema does not have.

    Args:
        path: the file, one JSON object in UTF-8.
        kind: the schema: a dataclass.
        schema: the number that its field ``schema`` must have; None for a kind of file without one.
        remedy: what to do about a file that cannot be used, for the error.

    Raises: `FileError`, which is a ValueError, for whatever is wrong with the content, for a folder or a pipe in the
    file's place, and for a file above the limit `limits.RECORD`; OSError for a file that is missing or not readable.
    """
    from pydantic import ValidationError
    from pydantic_core import from_json

    data = _content(path, remedy)
    try:
        raw = from_json(data)
    except (ValueError, RecursionError) as error:
        reason = "is empty" if not data.strip() else f"is not JSON in UTF-8: {_one_line(error)}"
        raise FileError(path, reason, remedy=remedy) from None
    if not isinstance(raw, dict):
        raise FileError(path, f"is not an object of JSON: {_shown(raw)}", remedy=remedy)
    stated = raw.get("schema")
    if schema is not None and (type(stated) is not int or stated != schema):
        newer = type(stated) is int and stated > schema
        advice = f"a newer version of circpeft wrote it: update circpeft{', or ' * bool(remedy)}{remedy}"
        reason = f"has schema {_shown(stated)}, expected {schema}"
        raise FileError(path, reason, newer, advice if newer else remedy)
    try:
        value = _adapter(cast(Hashable, kind)).validate_json(data, strict=True)
    except ValidationError as error:
        raise FileError(path, _reason(error), remedy=remedy) from None
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    return value, [_one_line(name)[:SHOWN] for name in raw if name not in known and name != "schema"]


@cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import TypeAdapter  # here, because it takes longer to import than the rest of a small command

    return TypeAdapter(cast(Any, kind))


def _content(path: str | Path, remedy: str) -> bytes:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise FileError(path, f"is {what}, expected a file", remedy=remedy)
    try:
        limits.RECORD.check(str(path), status.st_size)
    except ValueError as error:
        raise FileError(path, f"is too large: {str(error).removeprefix(f'{path}: ')}", remedy=remedy) from None
    return Path(path).read_bytes()


def _reason(error: Any) -> str:
    """Return what pydantic found, in one line: the fields that are missing, and else the first wrong values."""
    errors = error.errors(include_url=False)
    missing: dict[str, list[str]] = {}
    for entry in errors:
        if entry["type"] == "missing":
            missing.setdefault(_place(entry["loc"][:-1]), []).append(_place(entry["loc"][-1:]))
    if missing:
        texts = [", ".join(names) + f" in {place}" * bool(place) for place, names in missing.items()]
        return f"lacks {_first(texts)}"
    wrong: dict[str, str] = {}
    for entry in errors:  # a union has an entry for each of its types
        expected = entry["msg"].removeprefix("Value error, ")
        expected = expected.replace("Input should be ", "expected ").replace("String should have ", "expected ")
        wrong.setdefault(_place(entry["loc"]), f"= {_shown(entry['input'])}, {expected}")
    texts = [f"{name} {text}" for name, text in wrong.items()]
    return f"has {_first(texts)}"


def _first(texts: list[str]) -> str:
    more = f"; and {len(texts) - MOST_ERRORS} more" if len(texts) > MOST_ERRORS else ""
    return "; ".join(texts[:MOST_ERRORS]) + more


def _place(location: tuple[Any, ...]) -> str:
    # The parts of a union are named like types, and are no part of the file.
    parts = [str(part) for part in location if not str(part).startswith(("constrained-", "nullable[", "union["))]
    return _one_line(".".join(parts))[:SHOWN]


def _shown(value: Any) -> str:
    """Return a value for an error, in one line and not much of it."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def printable(path: str | Path) -> str:
    """Return a path with what is not text, or would break a line, as escapes.

    >>> printable(Path("runs") / "ein\\udcff")
    'runs/ein\\\\xff'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
