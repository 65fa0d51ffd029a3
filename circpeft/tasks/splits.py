"""Data of a task: from the hub or a folder, checked, and split into train, validation and test."""

import hashlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
from datasets import Dataset, DatasetDict, load_from_disk
from datasets.exceptions import DatasetGenerationError

from ..ops.checks import nearest
from .base import Task

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


def check(task: Task, data: DatasetDict) -> None:
    """Raise, before any training, where the data does not fit the task.

    Raises: ValueError for a missing split or column (with the nearest name), an empty split, a text that is missing or
    not a string, or a label outside the task's. A test split may be unlabelled (all -1), as GLUE's are.
    """
    missing = [split for split in ("train", "validation") if split not in data]
    if missing:
        raise ValueError(f"task {task.name!r} needs a {missing[0]} split; the data has: {', '.join(data)}")
    for split, rows in ((split, data[split]) for split in SPLITS if split in data):
        if len(rows) == 0:
            raise ValueError(f"empty split: {split} of task {task.name!r} has no rows")
        wanted = [*task.columns, "label", *([task.group] if task.group else [])]
        for column in wanted:
            if column not in rows.column_names:
                raise ValueError(
                    f"column {column!r} is missing in split {split} of task {task.name!r}; "
                    f"{nearest(column, rows.column_names)}"
                )
        for column in task.columns:
            if "string" not in str(rows.features[column].dtype) or None in rows.unique(column):
                row = next(i for i, text in enumerate(rows[column]) if not isinstance(text, str))
                raise ValueError(
                    f"row {row} of split {split} of task {task.name!r} has {rows[row][column]!r} in column {column!r}; "
                    f"expected a text"
                )
        labels = set(rows.unique("label"))
        if split == "test" and labels == {-1}:
            continue
        if task.labels:
            wrong = sorted(map(repr, labels - set(range(task.num_labels))))
            legal = ", ".join(f"{i} ({name})" for i, name in enumerate(task.labels))
        else:
            low, high = task.label_range
            wrong = sorted(repr(v) for v in labels if not isinstance(v, (int, float)) or not low <= v <= high)
            legal = f"numbers from {low} to {high}"
        if wrong:
            raise ValueError(
                f"label {wrong[0]} in split {split} is outside of task {task.name!r}'s labels: {legal}"
                + (f" ({len(wrong)} such values)" if len(wrong) > 1 else "")
            )


def three_splits(data: DatasetDict, seed: int = 0) -> tuple[DatasetDict, str]:
    """Labelled train, validation and test, and how they were made.

    A labelled test split is used as it is. Where it is hidden (GLUE), the published validation set is the test set and
    1,000 training rows are held out for validation if there are 10,000 or more, else the validation set is halved
    (Mahabadi et al. 2021, arXiv 2106.04647, appendix); C3A section 4.2 splits so too but does not say where.
    """
    train, validation, test = data["train"], data["validation"], data.get("test")
    if test is not None and set(test.unique("label")) != {-1}:
        return DatasetDict(train=train, validation=validation, test=test), "test: as published"
    if len(train) >= LARGE:
        parts = train.train_test_split(test_size=HELD_OUT, seed=seed)
        made = DatasetDict(train=parts["train"], validation=parts["test"], test=validation)
        return made, f"test: the published validation set; validation: {HELD_OUT} rows held out of train"
    if len(validation) < 2:
        raise ValueError("there is no labelled test split, and validation has 1 row: too few to halve into two")
    halves = validation.train_test_split(test_size=0.5, seed=seed)
    made = DatasetDict(train=train, validation=halves["train"], test=halves["test"])
    return made, "validation and test: halves of the published validation set"


def first_rows(data: Dataset, count: int, seed: int = 0) -> Dataset:
    """``count`` rows drawn at random by a fixed seed; all of them for 0 or where there are fewer."""
    if count < 0:
        raise ValueError(f"max_train must be 0 (all rows) or positive, got {count}")
    if count == 0 or count >= len(data):
        return data
    return data.shuffle(seed=seed).select(range(count))


def digest(data: DatasetDict) -> str:
    """Fingerprint of the rows of all splits: two data sets with the same rows in the same order have the same."""
    total = hashlib.sha256()
    for split in sorted(data):
        for column in sorted(data[split].column_names):
            total.update(repr((split, column, data[split][column][:])).encode())
    return total.hexdigest()[:12]
