"""Data of a task split into train, validation and test."""

import hashlib
from collections.abc import Iterator, Sequence

from datasets import Dataset, DatasetDict, Image, Value
from PIL.Image import Image as Pillow

from ..data_folders.split_names import SPLITS
from ..suggest import nearest

# From this many training rows on, validation is held out of them; below, the validation set is halved.
LARGE = 10_000
HELD_OUT = 1_000


def check_texts(task: str, split: str, rows: Dataset, column: str, numbers: bool = False) -> None:
    """Raise ValueError that names the first row of a column whose value is missing or no text, or whole number."""
    feature = rows.features[column]
    if isinstance(feature, Value) and "string" in feature.dtype and not rows.data.column(column).null_count:
        return
    kinds = {str, int} if numbers else {str}
    row = next((i for i, text in enumerate(rows[column]) if type(text) not in kinds), None)
    if row is not None:
        raise ValueError(
            f"row {row} of split {split} of task {task!r} has {repr(rows[row][column])[:80]} in column {column!r}; "
            f"expected a text{' or a whole number' if numbers else ''}"
        )


def check_column(task: str, split: str, rows: Dataset, column: str, others: Sequence[str] = ()) -> None:
    """Raise ValueError for a column that is missing, naming the nearest one that is none of the task's ``others``."""
    there = rows.column_names
    if column in there:
        return
    same = [name for name in there if name.strip().lower() == column.lower()]
    if same:
        hint = f"rename {same[0]!r}: capital letters and blanks count"
    else:
        hint = nearest(column, [name for name in there if name not in others] or there)
    raise ValueError(f"column {column!r} is missing in split {split} of task {task!r}; {hint}")


def renamed(data: DatasetDict, own_names: tuple[tuple[str, str], ...]) -> DatasetDict:
    """The data with a task's names of columns, by pairs of the publisher's own and the task's."""
    made = DatasetDict()
    for split, rows in data.items():
        there = rows.column_names
        made[split] = rows.rename_columns({own: n for own, n in own_names if own in there and n not in there})
    return made


def three_splits(data: DatasetDict, seed: int = 0) -> tuple[DatasetDict, str]:
    """Labelled train, validation and test, and how they were made.

    A test split is used as it is; one whose labels are hidden (GLUE) a task's ``prepare`` leaves out. Without one, the
    published validation set is the test set and 1,000 training rows are held out for validation if there are 10,000 or
    more, else the validation set is halved (Mahabadi et al. 2021, arXiv 2106.04647, appendix); C3A section 4.2 splits
    so too but does not say where. Without a published validation set a tenth of train is held out, at most 1,000 rows;
    without a test set either, a fifth of all first (C3A section 4.3, for SQL).
    """
    train, validation, test = data["train"], data.get("validation"), data.get("test")
    if validation is None:
        how = "test: as published"
        if test is None:
            train, test = _held_out(train, len(train) // 5, seed)
            how = "test: a fifth of the rows"
        train, validation = _held_out(train, min(HELD_OUT, len(train) // 10), seed)
        made = DatasetDict(train=train, validation=validation, test=test)
        return made, f"{how}; validation: {len(validation)} rows held out of train"
    if test is not None:
        return DatasetDict(train=train, validation=validation, test=test), "test: as published"
    if len(train) >= LARGE:
        train, held_out = _held_out(train, HELD_OUT, seed)
        made = DatasetDict(train=train, validation=held_out, test=validation)
        return made, f"test: the published validation set; validation: {HELD_OUT} rows held out of train"
    if len(validation) < 2:
        raise ValueError("there is no labelled test split, and validation has 1 row: too few to halve into two")
    halves = validation.train_test_split(test_size=0.5, seed=seed)
    made = DatasetDict(train=train, validation=halves["train"], test=halves["test"])
    return made, "validation and test: halves of the published validation set"


def _held_out(rows: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    if count < 1:
        raise ValueError(
            f"{len(rows)} rows of train are too few to hold some out for validation and test; give the splits"
        )
    parts = rows.train_test_split(test_size=count, seed=seed)
    return parts["train"], parts["test"]


def first_rows(data: Dataset, count: int, seed: int = 0) -> Dataset:
    """``count`` rows drawn at random by a fixed seed; all of them for 0 or where there are fewer."""
    if count < 0:
        raise ValueError(f"max_train must be 0 (all rows) or positive, got {count}")
    if count == 0 or count >= len(data):
        return data
    return data.shuffle(seed=seed).select(range(count))


def digest(data: DatasetDict) -> str:
    """Fingerprint of the rows of all splits: two data sets with the same rows in the same order have the same.

    Raises: ValueError for an image whose pixels cannot be read.
    """
    total = hashlib.sha256()
    for split, rows in sorted(data.items()):
        for column in sorted(rows.column_names):
            if isinstance(rows.features[column], Image):
                total.update(f"{split} {column}".encode())
                for picture in _pictures(split, rows, column):
                    total.update(f"{picture.mode} {picture.size}".encode() + picture.tobytes())
            else:
                total.update(repr((split, column, rows[column][:])).encode())
    return total.hexdigest()[:12]


def _pictures(split: str, rows: Dataset, column: str) -> Iterator[Pillow]:
    row, pictures = 0, iter(rows[column])
    while True:
        try:
            picture = next(pictures)
        except StopIteration:
            return
        except Exception as error:  # damaged within, see `pictures.check`; decoders raise OSError, SyntaxError and more
            path = rows.cast_column(column, Image(decode=False))[row][column]["path"]
            # Its row in the file: rows are shuffled and held out by a table of their numbers there.
            row = row if rows._indices is None else rows._indices.column(0)[row].as_py()
            place = f"{path}, row {row}" if path else f"row {row}"
            raise ValueError(
                f"an image of split {split} cannot be read ({place} of the data that the split is made of): {error}"
            ) from error
        # In a palette image the pixels are numbers of colours, and the colours stand elsewhere.
        yield picture.convert("RGBA") if picture.mode in ("P", "PA") else picture
        row += 1


__all__ = [
    "SPLITS",
    "check_column",
    "check_texts",
    "digest",
    "first_rows",
    "renamed",
    "three_splits",
]
