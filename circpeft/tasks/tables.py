"""One table of a data folder: jsonl, json, csv or parquet, read so that no value is changed or cut without a word."""

import csv
from pathlib import Path

import pyarrow
import pyarrow.parquet
from datasets import Dataset, concatenate_datasets
from datasets.exceptions import DatasetGenerationError

READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


def read(paths: list[Path]) -> Dataset:
    """The rows of a file, or of the files that a split was cut into, in their order.

    Raises: ValueError that names the file: one without rows, one that cannot be read (with the line of text that is not
    UTF-8), csv rows with more fields than the header, or files of one split with different columns.
    """
    parts = [_read(path) for path in paths]
    if len(parts) == 1:
        return parts[0]
    try:
        return concatenate_datasets(parts)
    except (ValueError, TypeError, pyarrow.ArrowException) as error:
        raise ValueError(
            f"{', '.join(path.name for path in paths[:8])} in {str(paths[0].parent)!r} are files of one split, but "
            f"their columns differ: {error}"
        ) from error


def _read(path: Path) -> Dataset:
    reader = READERS[path.suffix.lower()]
    # A text may be "NA" or "null" in csv: only an empty label is a missing value.
    options = {"keep_default_na": False, "na_values": {"label": [""]}} if reader == "csv" else {}
    try:
        if path.stat().st_size == 0 or reader == "parquet" and not pyarrow.parquet.read_metadata(path).num_rows:
            raise ValueError("no data")
        if reader != "parquet":
            _check_utf8(path)
        if reader == "csv":
            _check_fields(path)
        # Not load_dataset, which reports every load of local files to the hub, and waits seconds where there is none.
        return getattr(Dataset, f"from_{reader}")(str(path), **options)
    except (DatasetGenerationError, pyarrow.ArrowInvalid) as error:
        said = str(error.__cause__ or error).strip()
        if reader == "csv" and "Expected" in said:  # pandas: Expected 2 fields in line 3, saw 3
            said += '; put texts with commas between quotes, "like, this"'
        raise ValueError(f"cannot read {str(path)!r} as {reader}: {said}") from error
    except ValueError as error:
        if "no data" not in str(error):  # what datasets says of a file without rows
            raise
        raise ValueError(f"empty split: {path.name} in {str(path.parent)!r} has no rows") from error


def _check_fields(path: Path) -> None:
    """Raise ValueError for a first row with more fields than the header: pandas takes the first ones for an index."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            header, row = next(filter(None, lines), []), next(filter(None, lines), [])
        except csv.Error:  # a text too long for this reader: pandas takes it
            return
        if len(row) > len(header):
            raise ValueError(
                f"line {lines.line_num} of {str(path)!r} has {len(row)} fields, the header {len(header)} "
                f'({", ".join(header)}); put texts with commas between quotes, "like, this"'
            )


def _check_utf8(path: Path) -> None:
    """Raise ValueError for the first line that is not UTF-8: pyarrow reads it, and it fails where it is used."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"cannot read {str(path)!r}: line {number} is not UTF-8, which is expected; save it so ({error})"
                ) from error
