"""Pictures that a table beside them describes: SPLIT/metadata.csv with the column file_name, as datasets has them."""

from __future__ import annotations

import os
from pathlib import Path

from datasets import Dataset, DatasetDict

from . import tables
from .folders import refuse_alike
from .image_folders import SUFFIXES, beside, no_table_beside
from .locate import one_home, visible
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
    that have one, for pictures that a table does not name, for a file name that is no text, for a table of a split or a
    saved data set beside the folders, and for a folder whose name is like a missing split's.
    """
    if not folder.is_dir():
        return None
    folders: dict[str, list[Path]] = {}
    for path in visible(folder):
        if path.is_dir() and path.name.lower() in SPLIT_OF:
            folders.setdefault(SPLIT_OF[path.name.lower()], []).append(path)
    found = {split: [t for path in paths for t in _tables(path)] for split, paths in folders.items()}
    if not any(found.values()):
        return None
    bare = [path for split, paths in folders.items() if not found[split] for path in paths]
    if bare and all(map(_in_folders, bare)):
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
        rows = _described(named[0], label)
        if rows is None:
            return None
        parts[split] = rows
    no_table_beside(folder, f"metadata ({', '.join(path.name for paths in folders.values() for path in paths)})")
    refuse_alike(folder, parts, [p.name for p in visible(folder) if p.is_dir() and p.name.lower() not in SPLIT_OF])
    return parts


def inside(folder: Path, label: str, names: tuple[str, ...]) -> DatasetDict | None:
    """What `read` makes of the folder in this one for which it is not None, see `locate.one_home`; None of none.

    Raises: ValueError for several such folders or another task's, or see `read`.
    """
    made = {path: rows for path in visible(folder) if path.is_dir() and (rows := read(path, label))}
    home = one_home(folder, [*made], names)
    return made[home] if home else None


def _described(table: Path, label: str) -> Dataset | None:
    """The rows of one table; None where the pictures' folders are their classes."""
    folder = table.parent
    try:
        rows = tables.read([table], (FILE, "image"))
    except ValueError:
        if _in_folders(folder):  # whatever it says, it is not what labels them
            return None
        raise
    if FILE not in rows.column_names:
        return None
    if label not in rows.column_names and "label" not in rows.column_names and _in_folders(folder):
        return None
    names = rows[FILE][:]
    for row, name in enumerate(names):
        if not isinstance(name, (str, type(None))):
            raise ValueError(
                f"row {row} of {str(table)!r} has {name!r} in column {FILE!r}; expected the name of a file"
            )
    _all_named(folder, table.name, names)
    if "image" in rows.column_names:
        rows = rows.remove_columns("image")
    return beside(rows.rename_column(FILE, "image"), "image", folder)


def _tables(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.name.lower() in TABLES and path.is_file()]


def _pictures(folder: Path) -> list[str]:
    """Paths of all pictures in a folder and those inside of it, without hidden ones."""
    found = []
    for root, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [os.path.join(root, f) for f in files if f.lower().endswith(SUFFIXES) and not f.startswith(".")]
    return found


def _in_folders(folder: Path) -> bool:
    return any(os.path.dirname(path) != str(folder) for path in _pictures(folder))


def _all_named(folder: Path, table: str, names: list) -> None:
    named = {os.path.normpath(folder / name) for name in names if name}
    left = sorted(
        os.path.relpath(path, folder) for path in map(os.path.normpath, _pictures(folder)) if path not in named
    )
    if left:
        raise ValueError(
            f"{str(folder)!r} holds {len(left)} pictures that {table} does not name, such as {left[0]}; add them, "
            f"or move them away"
        )
