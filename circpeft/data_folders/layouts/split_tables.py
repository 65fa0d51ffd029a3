"""Tables named after splits: train.csv, train-00000-of-00002.parquet or train/0000.parquet; and saved splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datasets import DatasetDict

from .. import tables
from ..file_formats import DESCRIPTIONS, TABLE_ENDINGS, stem_and_ending, table_format
from ..inventory import Inventory
from ..layout import TaskOptions
from ..refusals import refuse_near_misses
from ..split_files import in_order
from ..split_names import split_named, suggested_splits
from .saved_datasets import load_saved, with_image_paths


class SplitTables:
    """A table for each split, whole or cut into shards, or a folder for each split that save_to_disk wrote."""

    kinds = ("text", "images", "instructions")
    expected = f"train, validation and test as {TABLE_ENDINGS}"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether a table or a saved folder is named after a split."""
        return bool(inventory.split_files)

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read the table of each split. In a table, paths of images are relative to the data folder.

        Raises: ValueError for two tables of one split, for a missing shard, for splits in different formats, for a name
        that resembles a missing split, and for a table that cannot be read (see `tables.read`).
        """
        files = {split: in_order(inventory.path, split, paths) for split, paths in inventory.split_files.items()}
        saved = {folder.path: folder for folder in inventory.folders if folder.is_saved_split}
        formats = {"saved" if paths[0] in saved else str(table_format(paths[0])) for paths in files.values()}
        if len(formats) > 1:
            raise ValueError(f"data_dir {str(inventory.path)!r} mixes formats: {', '.join(sorted(formats))}; use one")
        refuse_near_misses(inventory, files, inventory.unused)
        data = DatasetDict()
        for split, paths in files.items():
            if formats == {"saved"}:
                rows = load_saved(saved[paths[0]])
            else:
                rows = tables.read(paths, options.text_columns, options.headerless_columns)
            data[split] = with_image_paths(rows, inventory, options)
        return data

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return how to rename the tables of a folder so that they are found."""
        endings = {path.name: ending for path in inventory.files if (ending := _ending_to_have(path))}
        if len(endings) == 1:
            [(name, ending)] = endings.items()
            return f"If {name} is all of the data, name it train{ending}."
        splits = suggested_splits(endings)
        moves = [f"{name} to {splits[name]}{ending}" for name, ending in endings.items() if name in splits]
        moves += _moves_out_of_folders(inventory)
        return f"Move {', '.join(moves)}." if moves else ""


def _ending_to_have(path: Path) -> str | None:
    """Return the ending with which a table would be read; None for a file that is not a table, or describes images."""
    stem, ending = stem_and_ending(path)
    if path.name in DESCRIPTIONS or stem.lower() == "metadata" or not path.exists():
        return None
    if ending == ".txt":
        with path.open("rb") as file:
            return ".tsv" if b"\t" in file.readline() else None
    return ending if table_format(path) else None


def _moves_out_of_folders(inventory: Inventory) -> Iterator[str]:
    """Yield how to move the only table of a folder that is named after a split."""
    for folder in inventory.folders:
        if split_named(folder.name) and len(folder.entries) == 1 and any(map(table_format, folder.files)):
            [table] = folder.files
            yield f"{folder.name}/{table.name} to {folder.name}{stem_and_ending(table)[1]}"
