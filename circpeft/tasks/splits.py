"""Train, validation and test splits of a task's data, and the fingerprint of the data."""

import hashlib
from collections.abc import Iterator

from datasets import Dataset, DatasetDict, Image
from PIL.Image import Image as Pillow

from ..data_folders.split_names import SPLITS

# With this many training rows or more, validation is held out of them; with fewer, the validation set is halved.
LARGE = 10_000
HELD_OUT = 1_000


def three_splits(data: DatasetDict, seed: int = 0, hold_out: bool = True) -> tuple[DatasetDict, str]:
    """Return labelled train, validation and test splits, and a line that says where they come from.

    A published test split is used as it is. Without one (a task's ``prepare`` drops a test split without labels, as in
    GLUE), the rule depends on the number of training rows (Mahabadi et al. 2021, arXiv 2106.04647, appendix; C3A
    section 4.2 says that it makes three splits, but not how):

    - 10,000 or more: the published validation set is the test set, and 1,000 training rows become validation;
    - fewer: the published validation set is halved into validation and test.

    Without a published validation set, a tenth of train (at most 1,000 rows) becomes validation. Without a test set
    either, a fifth of all rows first becomes test (C3A section 4.3, for SQL).

    With ``hold_out=False`` no rows are set aside for validation, and there is no validation split unless the data has
    one beside test: a published validation set without a test set is the test set. All rows of train are trained on,
    except for the fifth that becomes test where there is neither.

    Args:
        data: checked splits with labels; train is required.
        seed: of the random draws.
        hold_out: whether rows are held out for validation.

    Raises: ValueError for too few rows to make the missing splits from.
    """
    train, validation, test = data["train"], data.get("validation"), data.get("test")
    if validation is None:
        how = "test: as published"
        if test is None:
            train, test = _held_out(train, len(train) // 5, seed)
            how = "test: a fifth of the rows"
        if not hold_out:
            return DatasetDict(train=train, test=test), f"{how}; no validation: all other rows are trained on"
        train, validation = _held_out(train, min(HELD_OUT, len(train) // 10), seed)
        splits = DatasetDict(train=train, validation=validation, test=test)
        return splits, f"{how}; validation: {len(validation)} rows held out of train"
    if test is not None:
        return DatasetDict(train=train, validation=validation, test=test), "test: as published"
    if not hold_out:
        splits = DatasetDict(train=train, test=validation)
        return splits, "test: the published validation set; no validation: all rows of train are trained on"
    if len(train) >= LARGE:
        train, held_out = _held_out(train, HELD_OUT, seed)
        splits = DatasetDict(train=train, validation=held_out, test=validation)
        return splits, f"test: the published validation set; validation: {HELD_OUT} rows held out of train"
    if len(validation) < 2:
        raise ValueError(
            "there is no labelled test split, and validation has 1 row, which cannot be halved; add rows or test"
        )
    halves = validation.train_test_split(test_size=0.5, seed=seed)
    splits = DatasetDict(train=train, validation=halves["train"], test=halves["test"])
    return splits, "validation and test: halves of the published validation set"


def _held_out(rows: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    """Return the remaining rows, and ``count`` rows drawn at random."""
    if count < 1:
        raise ValueError(
            f"{len(rows)} rows of train are too few to hold some out for validation and test; add these splits"
        )
    parts = rows.train_test_split(test_size=count, seed=seed)
    return parts["train"], parts["test"]


def first_rows(data: Dataset, count: int, seed: int = 0) -> Dataset:
    """Return ``count`` rows drawn at random with a fixed seed; all rows if it is 0 or there are fewer.

    Raises: ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"max_train must be 0 (all rows) or positive, got {count}")
    if count == 0 or count >= len(data):
        return data
    return data.shuffle(seed=seed).select(range(count))


def digest(data: DatasetDict) -> str:
    """Return the fingerprint of a data set: 12 hexadecimal digits that depend on all rows of all splits, in order.

    Raises: ValueError for an image with pixels that cannot be read.
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
    """Yield the decoded images of a column; a palette image as RGBA, since its pixels are numbers of colours."""
    row, pictures = 0, iter(rows[column])
    while True:
        try:
            picture = next(pictures)
        except StopIteration:
            return
        except Exception as error:  # damage that `pictures.check` did not see; decoders raise all kinds of errors
            path = rows.cast_column(column, Image(decode=False))[row][column]["path"]
            # The row's number in the file: shuffled and held-out rows are stored as a table of these numbers.
            row = row if rows._indices is None else rows._indices.column(0)[row].as_py()
            place = f"{path}, row {row}" if path else f"row {row}"
            raise ValueError(
                f"an image of split {split} cannot be read ({place} of the data that the split comes from): {error}"
            ) from error
        yield picture.convert("RGBA") if picture.mode in ("P", "PA") else picture
        row += 1


__all__ = [
    "SPLITS",
    "digest",
    "first_rows",
    "three_splits",
]
