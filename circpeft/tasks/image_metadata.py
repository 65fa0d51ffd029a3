"""Pictures that a table beside them describes: SPLIT/metadata.csv with the column file_name, as datasets has them."""

from __future__ import annotations

from pathlib import Path

from datasets import DatasetDict

from . import tables
from .image_folders import SUFFIXES
from .split_names import SPLIT_OF, SPLITS

FILE = "file_name"
TABLES = tuple(f"metadata{ending}" for ending in tables.READERS)


def read(folder: Path, label: str) -> DatasetDict | None:
    """Rows of ``folder/SPLIT/metadata.csv`` (or another of the tables that are read), with each picture's path as
    "image"; None where no split has one with file names, or where class folders have the labels.

    Args:
        folder: the folder.
        label: the column of the labels.

    Raises: ValueError for two such tables or two folders of one split, for a split of pictures without one beside those
    that have one, and for pictures that a table does not name.
    """
    if not folder.is_dir():
        return None
    folders: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name.lower() in SPLIT_OF:
            folders.setdefault(SPLIT_OF[path.name.lower()], []).append(path)
    found = {split: [t for path in paths for t in _tables(path)] for split, paths in folders.items()}
    if not any(found.values()):
        return None
    parts = DatasetDict()
    for split in (name for name in SPLITS if name in folders):
        named, where = found[split], folders[split]
        if len(named) != 1 or len(where) != 1:
            there = ", ".join(str(path.relative_to(folder)) for path in (named if len(named) > 1 else where))
            raise ValueError(
                f"data_dir {str(folder)!r} has {there} for {split}; expected one table {where[0].name}/metadata.csv "
                f"(or .jsonl, .parquet) with the column {FILE!r}, as in its other splits"
            )
        rows = tables.read(named, (FILE, "image"))
        if FILE not in rows.column_names:
            return None  # it says something else
        if label not in rows.column_names and "label" not in rows.column_names and _in_folders(where[0]):
            return None  # of pictures whose classes are their folders' names
        names = rows[FILE][:]
        _all_named(where[0], named[0].name, names)
        rows = rows.remove_columns([name for name in ("image",) if name in rows.column_names])
        made = [name if not name or "://" in name else str(where[0] / name) for name in names]
        parts[split] = rows.add_column("image", made).remove_columns(FILE)
    return parts


def _tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.name.lower() in TABLES and path.is_file()]


def _pictures(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]


def _in_folders(folder: Path) -> bool:
    return any(path.parent != folder for path in _pictures(folder))


def _all_named(folder: Path, table: str, names: list) -> None:
    named = {(folder / name).resolve() for name in names if name}
    left = sorted(str(path.relative_to(folder)) for path in _pictures(folder) if path.resolve() not in named)
    if left:
        raise ValueError(
            f"{str(folder)!r} holds {len(left)} pictures that {table} does not name, such as {left[0]}; add them, "
            f"or move them away"
        )
