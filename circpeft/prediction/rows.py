"""Rows to predict: from a file, or from texts that are given one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, Image

from ..data_folders import tables
from ..data_folders.file_formats import TABLE_ENDINGS, TABLE_FORMATS, stem_and_ending
from ..data_folders.image_paths import join_image_paths
from ..suggest import nearest
from ..tasks import AnyTask, pictures
from ..tasks.columns import check_column, check_texts, rename_columns


def needed_columns(task: AnyTask) -> tuple[str, ...]:
    """Return the columns that a row to predict needs: those of a training row without its label or answer.

    >>> from circpeft import tasks
    >>> needed_columns(tasks.get("rte")), needed_columns(tasks.get("gsm8k")), needed_columns(tasks.get("pets"))
    (('sentence1', 'sentence2'), ('question',), ('image',))
    """
    if task.kind == "images":
        return ("image",)
    return task.columns[:-1] if task.kind == "instructions" else task.columns


def rows_of_texts(task: AnyTask, texts: Sequence[str]) -> Dataset:
    """Return one row with the given texts, in the order of the task's columns.

    Raises: ValueError for a task on images, or another number of texts.
    """
    columns = needed_columns(task)
    if task.kind == "images":
        raise ValueError(
            f"task {task.name!r} takes images, not texts; give a file with the column 'image' of their paths"
        )
    if len(texts) != len(columns):
        raise ValueError(
            f"a row of task {task.name!r} has {len(columns)} texts ({', '.join(columns)}), got {len(texts)}"
        )
    return Dataset.from_dict({column: [text] for column, text in zip(columns, texts, strict=True)})


def read_rows(task: AnyTask, file: str | Path) -> Dataset:
    """Read and check the rows of a table. Labels and answers may be missing; further columns are kept.

    Args:
        task: the task.
        file: a jsonl, json, csv, tsv or parquet file. Paths of images are relative to it.

    Raises: FileNotFoundError for a file that is not there; ValueError for another format, a missing column (with the
    nearest name), a value that is not a text, and an image that cannot be read.
    """
    path = Path(file)
    if not path.is_file():
        beside = (
            [str(other) for other in sorted(path.parent.glob("*")) if other.is_file()] if path.parent.is_dir() else []
        )
        raise FileNotFoundError(f"no file {str(file)!r}; {nearest(file, beside[:20])}")
    ending = stem_and_ending(path)[1]
    if ending not in TABLE_FORMATS:
        raise ValueError(f"{path.name!r} is not a table that is read; expected {TABLE_ENDINGS}")
    columns = needed_columns(task)
    rows = tables.read([path], () if task.kind == "images" else columns)
    rows = rename_columns(DatasetDict(rows=rows), getattr(task, "publisher_names", ()))["rows"]
    if task.kind == "images":
        published = task.columns[0]
        if published != "image" and published in rows.column_names:
            rows = rows.rename_column(published, "image")
        rows = join_image_paths(rows, "image", path.parent)
    for column in columns:
        check_column(task.name, path.name, rows, column, columns)
        if task.kind != "images":
            check_texts(task.name, path.name, rows, column)
    if task.kind == "images":
        _check_images(rows, path)
    return rows


def _check_images(rows: Dataset, path: Path) -> None:
    for number, picture in enumerate(rows.cast_column("image", Image(decode=False))["image"]):
        try:
            if picture is None:
                raise ValueError("no image")
            pictures.check(picture)
        except (ValueError, OSError) as error:
            raise ValueError(f"row {number} of {str(path)!r}: {error}") from error
