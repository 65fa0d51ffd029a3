"""A file for each row, in folders by subject: train/SUBJECT/17.json, as MATH is published."""

from __future__ import annotations

from pathlib import Path

from datasets import DatasetDict

from ... import limits
from .. import json_rows
from ..file_formats import stem_and_ending, table_format
from ..inventory import Inventory
from ..layout import TaskOptions
from ..refusals import refuse_near_misses
from ..split_names import SPLITS, split_named


class OneRowFiles:
    """JSON files of one object each, in a folder for each subject, in a folder for each split."""

    kinds = ("instructions",)
    expected = "rows in train/SUBJECT/*.json, test/SUBJECT/*.json and so on"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether a folder that is named after a split holds folders of JSON files."""
        return bool(_row_folders(inventory))

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read a row from each file, by subject and number.

        Raises: ValueError for two folders of one split, or a table beside a folder; for a name that resembles a missing
        split; for a file that is not one of the rows; and for a row that cannot be read (see `json_rows.join`).
        """
        row_folders = _row_folders(inventory)
        data = DatasetDict()
        for split in SPLITS:
            sources = [path for path in inventory.entries if _split_of(inventory, path) == split]
            if not sources:
                continue
            folder = next((folder for folder in row_folders if folder.path == sources[0]), None)
            if len(sources) > 1 or folder is None:
                raise ValueError(
                    f"data_dir {str(inventory.path)!r} has {', '.join(path.name for path in sources)} for {split}, "
                    f"beside files such as {row_folders[0].name}/SUBJECT/*.json; expected one folder of such files for "
                    f"each split"
                )
            rows = _rows_of(folder)
            limits.TABLE.check(str(folder.path), sum(path.stat().st_size for path in rows))
            data[split] = json_rows.join([(str(path), path.read_bytes()) for path in rows])
        others = [path for path in inventory.entries if not _split_of(inventory, path)]
        unread = [path.name for path in others if path in inventory.folder_paths or table_format(path)]
        refuse_near_misses(inventory, data, unread)
        return data

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return "": no other arrangement is recognised."""
        return ""


def _row_folders(inventory: Inventory) -> list[Inventory]:
    """Return the folders named after splits that hold folders of JSON files, in the order of their names."""
    return [
        folder
        for folder in inventory.folders
        if split_named(folder.name) and any(path.suffix == ".json" for inner in folder.folders for path in inner.files)
    ]


def _split_of(inventory: Inventory, path: Path) -> str | None:
    """Return the split that a folder or a table is named after."""
    if path in inventory.folder_paths:
        return split_named(path.name)
    return split_named(stem_and_ending(path)[0]) if table_format(path) else None


def _rows_of(folder: Inventory) -> list[Path]:
    """Return the files of a split's rows: subjects by name, and in each 2.json before 10.json."""
    if folder.files:
        raise ValueError(
            f"{str(folder.files[0])!r} is beside the folders of subjects; move it into one of them, or elsewhere"
        )
    rows = []
    for subject in folder.folders:
        if others := [
            path for path in subject.entries if path.suffix.lower() != ".json" or path in subject.folder_paths
        ]:
            raise ValueError(
                f"{str(others[0])!r} is among the rows of {subject.name}; expected only .json files: move it elsewhere"
            )
        rows += sorted(subject.files, key=lambda path: (len(path.stem), path.stem))
    return rows
