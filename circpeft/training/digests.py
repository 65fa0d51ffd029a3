"""Digests of the files in a folder, by which damage is noticed: a file that is missing, cut or changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def digests(folder: Path, leave_out: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the size and the SHA-256 of each file in a folder, by its path in it.

    Args:
        folder: the folder.
        leave_out: names of files that may change.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> _ = (place / "a.txt").write_text("one")
    >>> digests(place)["a.txt"]["bytes"]
    3
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in leave_out)
    return {path.relative_to(folder).as_posix(): digest(path) for path in paths}


def faults(folder: Path, expected: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the files of a folder, a short sentence for each file; empty if all are as expected.

    Args:
        folder: the folder.
        expected: what `digests` returned when the files were written.

    >>> faults(Path("absent"), {"a.txt": {"bytes": 3, "sha256": ""}})
    ['a.txt is missing']
    """
    found = (_fault(folder / name, name, entry) for name, entry in expected.items())
    return [fault for fault in found if fault]


def digest(path: Path) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _fault(path: Path, name: str, expected: Mapping[str, Any]) -> str:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"{name} has {size:,} bytes instead of {expected['bytes']:,}" if size else f"{name} is empty"
        return "" if digest(path)["sha256"] == expected["sha256"] else f"{name} is not as it was written"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
