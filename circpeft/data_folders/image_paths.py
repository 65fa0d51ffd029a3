"""Paths of images in tables, relative to the table's folder."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.compute
from datasets import Dataset, Image, Value


def join_image_paths(rows: Dataset, column: str, folder: Path) -> Dataset:
    """Return the rows with relative paths of images joined to a folder.

    Absolute paths, addresses, blank paths and images with contents of their own stay as they are. So does a column
    that cannot hold images.
    """
    feature = rows.features.get(column)
    is_text = isinstance(feature, Value) and "string" in feature.dtype
    if not (is_text or isinstance(feature, Image) or isinstance(feature, dict) and "path" in feature):
        return rows
    table = rows.cast_column(column, Image(decode=False)).data.column(column)
    without_contents = pyarrow.compute.is_null(pyarrow.compute.struct_field(table, "bytes"))
    paths = pyarrow.compute.if_else(without_contents, pyarrow.compute.struct_field(table, "path"), None).to_pylist()
    # An absolute path stays as it is when joined; a blank one says that there is no image.
    joined = on_disk([path if not path or "://" in path else str(folder / path) for path in paths])
    if joined == paths:
        return rows
    if is_text:
        return _replace_column(rows, column, joined)
    images = [
        image and {**image, "path": path if image["bytes"] is None else image["path"]}
        for image, path in zip(rows.cast_column(column, Image(decode=False))[column], joined, strict=True)
    ]
    return _replace_column(rows, column, images, Image())


def on_disk(paths: list[str | None]) -> list[str | None]:
    """Return the paths as they are on disk, where accented letters may be stored as two characters or as one.

    A path that is on disk, or that is there in no form, is unchanged.
    """
    listed: dict[str, dict[str, str]] = {}  # of each folder: the names in it by their composed form

    def found(path: str) -> str:
        if path.isascii() or os.path.exists(path):
            return path
        parent, name = os.path.split(path)
        if not name:
            return path
        parent = found(parent)
        if parent not in listed:
            names = os.listdir(parent) if os.path.isdir(parent) else []
            listed[parent] = {unicodedata.normalize("NFC", name): name for name in names}
        return os.path.join(parent, listed[parent].get(unicodedata.normalize("NFC", name), name))

    return [path and found(path) for path in paths]


def _replace_column(rows: Dataset, column: str, values: list, feature: Any = None) -> Dataset:
    """Replace a column's values. The new column is added first: a table without columns would lose its rows."""
    old = f"{column} of the table"
    return rows.rename_column(column, old).add_column(column, values, feature=feature).remove_columns(old)
