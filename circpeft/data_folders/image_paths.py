"""Paths of images in tables, relative to the table's folder, and never outside the data folder."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.compute
from datasets import Dataset, Image, Value

from ..files import expanded
from ..limits import IMAGE_FOLDERS, image_folders


def join_image_paths(rows: Dataset, column: str, folder: Path) -> Dataset:
    """Return the rows with relative paths of images joined to a folder.

    Absolute paths, addresses, blank paths and images with contents of their own stay as they are; `refuse_outside`
    refuses those outside the data folder. A column that cannot hold images stays as it is, too.
    """
    paths = _paths(rows, column)
    if paths is None:
        return rows
    is_text = isinstance(rows.features[column], Value)
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


def refuse_outside(rows: Dataset, column: str, split: str, folder: Path) -> None:
    """Check that the images of a column, except those with contents of their own, are in a folder.

    A link in the folder counts as a part of it, wherever it leads. `limits.IMAGE_FOLDERS` allows further folders.

    Raises: ValueError that names the row and the path of the first image outside.
    """
    allowed = [os.path.abspath(folder), os.path.realpath(folder)]
    allowed += [os.path.abspath(expanded(other)) for other in image_folders()]
    prefixes = tuple(os.path.join(place, "") for place in allowed)
    for row, path in enumerate(_paths(rows, column) or ()):
        if path and ("://" in path or not os.path.abspath(path).startswith(prefixes)):
            raise ValueError(
                f"row {row} of split {split} names the image {path[:200]!r}, outside the data folder {str(folder)!r}; "
                f"move it there, or allow its folder with {IMAGE_FOLDERS}=FOLDER"
            )


def _paths(rows: Dataset, column: str) -> list[str | None] | None:
    """Return the paths in a column of images, None for images with contents; None for a column without images."""
    feature = rows.features.get(column)
    is_text = isinstance(feature, Value) and "string" in feature.dtype
    if not (is_text or isinstance(feature, Image) or isinstance(feature, dict) and "path" in feature):
        return None
    table = rows.cast_column(column, Image(decode=False)).data.column(column)
    without_contents = pyarrow.compute.is_null(pyarrow.compute.struct_field(table, "bytes"))
    return pyarrow.compute.if_else(without_contents, pyarrow.compute.struct_field(table, "path"), None).to_pylist()


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
