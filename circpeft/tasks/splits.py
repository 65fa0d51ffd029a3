"""Data of a task: from the hub or a folder, checked, and split into train, validation and test."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
from datasets import Dataset, DatasetDict, Image, load_from_disk
from datasets.exceptions import DatasetGenerationError
from PIL.Image import Image as Pillow

from ..ops.checks import nearest

SPLITS = {"train": ("train",), "validation": ("validation", "dev", "valid"), "test": ("test",)}
READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
# From this many training rows on, validation is held out of them; below, the validation set is halved.
LARGE = 10_000
HELD_OUT = 1_000


def read_folder(folder: str | Path) -> DatasetDict:
    """A data set from a local folder: train/validation/test files (jsonl, json, csv, parquet), or a saved data set.

    Raises: FileNotFoundError for a folder that is not there or holds no split, naming the files that are looked for;
    ValueError for a split with two files or without rows, for mixed formats, or for a file that cannot be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise FileNotFoundError(f"data_dir {str(folder)!r} is not a folder; {nearest(folder.name, sorted(beside))}")
    if (folder / "dataset_dict.json").exists():
        return _read_saved(folder)
    files: dict[str, Path] = {}
    for split, names in SPLITS.items():
        found = [folder / f"{n}{s}" for n in names for s in READERS if (folder / f"{n}{s}").exists()]
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise ValueError(f"data_dir {str(folder)!r} has several files for {split}: {names}; keep one")
        if found:
            files[split] = found[0]
    if not files:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"data_dir {str(folder)!r} holds {there}; expected train, validation and test as .jsonl, .json, .csv or "
            f".parquet, or a data set saved with save_to_disk"
        )
    readers = {READERS[path.suffix] for path in files.values()}
    if len(readers) > 1:
        raise ValueError(f"data_dir {str(folder)!r} mixes formats: {', '.join(sorted(readers))}; use one")
    return DatasetDict({split: _read_file(path) for split, path in files.items()})


def _read_file(path: Path) -> Dataset:
    reader = READERS[path.suffix]
    # A text may be "NA" or "null" in csv: only an empty label is a missing value.
    options = {"keep_default_na": False, "na_values": {"label": [""]}} if reader == "csv" else {}
    try:
        if path.stat().st_size == 0 or reader == "parquet" and not pyarrow.parquet.read_metadata(path).num_rows:
            raise ValueError("no data")
        # Not load_dataset, which reports every load of local files to the hub, and waits seconds where there is none.
        return getattr(Dataset, f"from_{reader}")(str(path), **options)
    except (DatasetGenerationError, pyarrow.ArrowInvalid) as error:
        raise ValueError(f"cannot read {str(path)!r} as {reader}: {error.__cause__ or error}") from error
    except ValueError as error:
        if "no data" not in str(error):  # what datasets says of a file without rows
            raise
        raise ValueError(f"empty split: {path.name} in {str(path.parent)!r} has no rows") from error


def _read_saved(folder: Path) -> DatasetDict:
    try:
        saved = load_from_disk(str(folder))
    except IndexError as error:  # datasets cannot read back a table that it saved without rows
        raise ValueError(f"empty split in the saved data set {str(folder)!r}: one of its splits has no rows") from error
    known = {name: split for split, names in SPLITS.items() for name in names}
    return DatasetDict({known.get(name, name): rows for name, rows in saved.items()})


def check_texts(task: str, split: str, rows: Dataset, column: str) -> None:
    """Raise ValueError that names the first row of a column whose value is missing or no text."""
    if "string" not in str(getattr(rows.features[column], "dtype", "")) or None in rows.unique(column):
        row = next(i for i, text in enumerate(rows[column]) if not isinstance(text, str))
        raise ValueError(
            f"row {row} of split {split} of task {task!r} has {rows[row][column]!r} in column {column!r}; "
            f"expected a text"
        )


def three_splits(data: DatasetDict, seed: int = 0) -> tuple[DatasetDict, str]:
    """Labelled train, validation and test, and how they were made.

    A labelled test split is used as it is. Where it is hidden (GLUE), the published validation set is the test set and
    1,000 training rows are held out for validation if there are 10,000 or more, else the validation set is halved
    (Mahabadi et al. 2021, arXiv 2106.04647, appendix); C3A section 4.2 splits so too but does not say where. Without
    a published validation set a tenth of train is held out, at most 1,000 rows; without a test set either, a fifth of
    all first (C3A section 4.3, for SQL).
    """
    train, validation, test = data["train"], data.get("validation"), data.get("test")
    hidden = test is None or "label" in test.column_names and set(test.unique("label")) == {-1}
    if validation is None:
        how = "test: as published"
        if hidden:
            train, test = _held_out(train, len(train) // 5, seed)
            how = "test: a fifth of the published rows"
        train, validation = _held_out(train, min(HELD_OUT, len(train) // 10), seed)
        made = DatasetDict(train=train, validation=validation, test=test)
        return made, f"{how}; validation: {len(validation)} rows held out of train"
    if not hidden:
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
            f"train has {len(rows)} rows: too few to hold some out for validation and test; give the splits"
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
