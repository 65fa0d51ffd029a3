"""Rows that lie in a file each, by subject: SPLIT/SUBJECT/17.json, as MATH is published."""

from __future__ import annotations

from pathlib import Path

from datasets import DatasetDict

from . import json_rows, tables
from .folders import refuse_alike
from .locate import one_home, visible
from .split_names import SPLIT_OF, SPLITS


def read(folder: Path) -> DatasetDict | None:
    """A row of every file ``folder/SPLIT/SUBJECT/*.json``, by subject and number; None where there is no such split.

    Raises: ValueError for two folders or a table and a folder of one split, for something whose name is like a missing
    split's, a file that lies among the folders of subjects or is none of their rows; what `json_rows.joined` refuses.
    """
    folders = _splits(folder) if folder.is_dir() else []
    if not folders:
        return None
    found: dict[str, list[Path]] = {}
    for path in visible(folder):
        if split := _split_of(path):
            found.setdefault(split, []).append(path)
    parts = DatasetDict()
    for split in (name for name in SPLITS if name in found):
        if len(found[split]) > 1 or found[split][0] not in folders:
            names = ", ".join(path.name for path in found[split])
            raise ValueError(
                f"data_dir {str(folder)!r} has {names} for {split}, beside files such as "
                f"{folders[0].name}/SUBJECT/*.json; expected one folder of them a split"
            )
        paths = [file for subject in visible(found[split][0]) for file in _files(subject)]
        parts[split] = json_rows.joined([(str(path), path.read_bytes()) for path in paths])
    others = [path for path in visible(folder) if not _split_of(path)]
    refuse_alike(
        folder, parts, [path.name for path in others if path.is_dir() or tables.named(path)[1] in tables.READERS]
    )
    return parts


def inside(folder: Path, names: tuple[str, ...]) -> DatasetDict | None:
    """Read the subfolder that has such splits, see `locate.one_home`; return None where there is none.

    Raises: ValueError for several such folders or another task's, or see `read`.
    """
    homes = [path for path in visible(folder) if path.is_dir() and _splits(path)]
    home = one_home(folder, homes, names)
    return read(home) if home else None


def _splits(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir() and _split_of(path) and _deep(path)]


def _split_of(path: Path) -> str | None:
    """The split of a folder's or a table's name."""
    stem, ending = tables.named(path)
    return SPLIT_OF.get(path.name.lower() if path.is_dir() else stem.lower() if ending in tables.READERS else "")


def _deep(folder: Path) -> bool:
    return any(any(path.glob("*.json")) for path in visible(folder) if path.is_dir())


def _files(subject: Path) -> list[Path]:
    if not subject.is_dir():
        raise ValueError(f"{str(subject)!r} lies among folders of rows; expected it in one, or elsewhere")
    if others := [path for path in visible(subject) if path.suffix.lower() != ".json" or not path.is_file()]:
        raise ValueError(f"{str(others[0])!r} lies among the rows of {subject.name}; expected .json files alone")
    return sorted(visible(subject), key=lambda path: (len(path.stem), path.stem))  # 2 before 10
