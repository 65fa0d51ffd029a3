"""Rows that lie in a file each, by subject: SPLIT/SUBJECT/17.json, as MATH is published."""

from __future__ import annotations

from pathlib import Path

from datasets import DatasetDict

from . import objects, tables
from .split_names import SPLIT_OF, SPLITS


def read(folder: Path) -> DatasetDict | None:
    """A row of every file ``folder/SPLIT/SUBJECT/*.json``, by subject and number; None where there is no such split.

    Raises: ValueError for two folders of one split, for a table of a split beside the folders, a folder of a subject
    with further folders or files, and what `objects.read` refuses, of whichever file.
    """
    if not folder.is_dir():
        return None
    homes = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))]
    for home in homes:
        if folders := [path for path in sorted(home.iterdir()) if _split_of(path) and path.is_dir() and _deep(path)]:
            return _read(home, folders)
    return None


def _read(home: Path, folders: list[Path]) -> DatasetDict:
    found: dict[str, list[Path]] = {}
    for path in sorted(home.iterdir()):
        if split := _split_of(path):
            found.setdefault(split, []).append(path)
    parts = DatasetDict()
    for split in (name for name in SPLITS if name in found):
        if len(found[split]) > 1 or found[split][0] not in folders:
            names = ", ".join(path.name for path in found[split])
            raise ValueError(
                f"data_dir {str(home)!r} has {names} for {split}, beside files such as "
                f"{folders[0].name}/SUBJECT/*.json; expected one folder of them a split"
            )
        paths = [file for subject in _seen(found[split][0]) for file in _files(subject)]
        parts[split] = objects.joined([(str(path), path.read_bytes()) for path in paths])
    return parts


def _split_of(path: Path) -> str | None:
    """The split of a folder's or a table's name."""
    stem, ending = tables.named(path)
    return SPLIT_OF.get(path.name.lower() if path.is_dir() else stem.lower() if ending in tables.READERS else "")


def _seen(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _deep(folder: Path) -> bool:
    inner = _seen(folder)
    return bool(inner) and all(path.is_dir() for path in inner) and any(inner[0].glob("*.json"))


def _files(subject: Path) -> list[Path]:
    if others := [path for path in _seen(subject) if path.suffix.lower() != ".json" or not path.is_file()]:
        raise ValueError(f"{str(others[0])!r} lies among the rows of {subject.name}; expected .json files alone")
    return sorted(_seen(subject), key=lambda path: (len(path.stem), path.stem))  # 2 before 10
