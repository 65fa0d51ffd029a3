"""Images that a table beside them describes: train/metadata.csv with the column file_name, as in datasets."""

from __future__ import annotations

import os
from pathlib import Path

from datasets import Dataset, DatasetDict

from .. import tables
from ..file_formats import TABLE_FORMATS, is_image
from ..image_paths import join_image_paths, on_disk
from ..inventory import Inventory
from ..layout import TaskOptions
from ..refusals import refuse_near_misses, refuse_tables_beside

FILE_NAME = "file_name"
TABLE_NAMES = tuple(f"metadata{ending}" for ending in TABLE_FORMATS)


class ImageMetadata:
    """A folder for each split, with images and a table metadata.csv (or another format) that names and labels them."""

    kinds = ("images",)
    expected = f"train/metadata.csv, with the column {FILE_NAME}, and so on"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether tables label the images of the splits; where class folders do, tables are ignored."""
        tables_of = {split: _tables(same) for split, same in inventory.split_folders.items()}
        if not any(tables_of.values()):
            return False
        without_table = [f for split, same in inventory.split_folders.items() if not tables_of[split] for f in same]
        if without_table and all(map(_has_class_folders, without_table)):
            return False
        for split, same in inventory.split_folders.items():
            if len(same) != 1 or len(tables_of[split]) != 1:
                return True  # `read` refuses it
            if not _labels_images(same[0], options):
                return False
        return True

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read the tables, with the path of each image as "image".

        Raises: ValueError for two tables or two folders of one split, a split without a table, images that a table does
        not name, a file name that is not a text, a table of a split or a saved data set beside the folders, and a
        folder with a name that resembles a missing split.
        """
        data = DatasetDict()
        for split, folders in inventory.split_folders.items():
            described_by = _tables(folders)
            if len(described_by) != 1 or len(folders) != 1:
                names = described_by if len(described_by) > 1 else [folder.path for folder in folders]
                listing = ", ".join(str(path.relative_to(inventory.path)) for path in names)
                raise ValueError(
                    f"data_dir {str(inventory.path)!r} has {listing} for {split}; expected one table "
                    f"{folders[0].name}/metadata.csv (or .jsonl, .parquet) with the column {FILE_NAME!r}, as in its "
                    f"other splits"
                )
            data[split] = _described_images(folders[0])
        used = ", ".join(sorted(folder.name for same in inventory.split_folders.values() for folder in same))
        refuse_tables_beside(inventory, f"metadata ({used})")
        refuse_near_misses(inventory, data, [folder.name for folder in inventory.other_folders])
        return data

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return "": see `class_folders`, which tells folders with and without tables apart."""
        return ""


def _tables(folders: list[Inventory]) -> list[Path]:
    """Return the metadata tables in folders."""
    return [path for folder in folders for path in folder.files if path.name.lower() in TABLE_NAMES]


def _labels_images(folder: Inventory, options: TaskOptions) -> bool:
    """Return whether a folder's table names images, and labels them unless class folders could do so."""
    try:
        columns = tables.read(_tables([folder]), (FILE_NAME, "image")).column_names
    except ValueError:
        return not _has_class_folders(folder)  # with class folders, the table is about something else
    labels = options.label_column in columns or "label" in columns
    return FILE_NAME in columns and (labels or not _has_class_folders(folder))


def _described_images(folder: Inventory) -> Dataset:
    """Read the table of a folder, with the paths of its images as "image"."""
    [table] = _tables([folder])
    rows = tables.read([table], (FILE_NAME, "image"))
    names = rows[FILE_NAME][:]
    for row, name in enumerate(names):
        if not isinstance(name, (str, type(None))):
            raise ValueError(
                f"row {row} of {str(table)!r} has {name!r} in column {FILE_NAME!r}; expected the name of a file"
            )
    listed = on_disk([str(folder.path / name) for name in names if name])
    named = {os.path.normpath(path) for path in listed if path}
    images = sorted(os.path.normpath(path) for path in filter(is_image, folder.files_below()))
    if unnamed := [os.path.relpath(path, folder.path) for path in images if path not in named]:
        raise ValueError(
            f"{str(folder.path)!r} holds {len(unnamed)} images that {table.name} does not name, such as {unnamed[0]}; "
            f"add them to the table, or move them away"
        )
    if "image" in rows.column_names:
        others = [row for row, image in enumerate(rows["image"]) if image not in ("", None, names[row])]
        if others:
            raise ValueError(
                f"row {others[0]} of {str(table)!r} has {names[others[0]]!r} in column {FILE_NAME!r} and "
                f"{str(rows['image'][others[0]])[:80]!r} in column 'image'; keep one of these columns"
            )
        rows = rows.remove_columns("image")
    return join_image_paths(rows.rename_column(FILE_NAME, "image"), "image", folder.path)


def _has_class_folders(folder: Inventory) -> bool:
    """Return whether images are in folders of their own."""
    return any(is_image(path) for inner in folder.folders for path in inner.files_below())
