"""Sizes of tables, checked before they are read: what a gzip file unpacks to, and what a parquet file decodes to."""

from __future__ import annotations

import gzip
import operator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from .. import limits

CHUNK = 2**20  # bytes that are unpacked at a time
USUAL_RATIO = 10  # a parquet file decodes to at most this many times its size, in usual data
HOLES = 100  # a file is mostly holes if it claims this many times the size that it has on disk
MOST_CHUNKS = 1_000_000  # of columns in row groups; the metadata has an entry for each
# Physical types of parquet whose values have any length.
ANY_LENGTH = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
# What begins a row, or an object or list of JSON, by the format of a table.
BEGINNINGS = {"json": (b"{", b"["), "csv": (b"\n",), "tsv": (b"\n",)}


def check_size(path: Path) -> None:
    """Raise ValueError for a text table of more than `limits.TABLE` bytes as it is on disk."""
    limits.TABLE.check(str(path), path.stat().st_size)


def check_text_size(path: Path, form: str, compressed: bool) -> None:
    """Check the size of a text table, and count its rows, without keeping what is unpacked.

    Raises: ValueError for more than `limits.TABLE` bytes or `limits.ROWS`; what gzip raises for a damaged file.
    """
    place, size, rows = str(path), 0, 0
    with gzip.open(path) if compressed else path.open("rb") as file:
        while part := file.read(CHUNK):
            size += len(part)
            rows += sum(map(part.count, BEGINNINGS[form]))
            limits.TABLE.check(place, size, at_least=True)
            limits.ROWS.check(place, rows, at_least=True)


def check_holes(path: Path) -> None:
    """Check that a file is on disk about as large as it claims to be; it is read whole to compute its fingerprint.

    Raises: ValueError for a file that is mostly holes, and larger than `limits.TABLE`.
    """
    about = path.stat()
    blocks = getattr(about, "st_blocks", None)  # of 512 bytes; Windows does not tell
    if blocks is not None and about.st_size > HOLES * 512 * blocks:
        limits.TABLE.check(f"{str(path)!r} (mostly holes)", about.st_size)


def check_table(place: str, rows: int, columns: int) -> None:
    """Check the number of columns, and of values, of a table.

    Raises: ValueError for more than `limits.ROWS`, `limits.COLUMNS` or `limits.CELLS`.

    >>> check_table("train.jsonl", 10**6, 10**3)
    Traceback (most recent call last):
    ...
    ValueError: train.jsonl: 1,000,000,000 values (rows times columns) exceed the limit of 200,000,000; if you trust ...
    """
    limits.ROWS.check(place, rows)
    limits.COLUMNS.check(place, columns)
    limits.CELLS.check(place, rows * columns)


def check_parquet(path: Path) -> int:
    """Check what a parquet file holds by its metadata, and what its dictionaries decode to; return the number of rows.

    A value that occurs in a million rows is stored once. Its decoded size is therefore computed from the dictionaries,
    of which no value is repeated in memory.

    Raises: ValueError for more than `limits.ROWS`, `limits.COLUMNS` or `limits.CELLS`, and for more than `limits.TABLE`
    if that is over ten times the size of the file; what pyarrow raises for a file that it cannot read.
    """
    place = str(path)
    check_holes(path)
    usual = USUAL_RATIO * path.stat().st_size
    metadata = pyarrow.parquet.read_metadata(path)
    check_table(place, metadata.num_rows, metadata.num_columns)
    if metadata.num_row_groups * metadata.num_columns > MOST_CHUNKS:
        raise ValueError(f"{place} has {metadata.num_row_groups:,} row groups; write it with fewer")
    values = size = 0
    repeated = []
    for column in range(metadata.num_columns):
        chunks = [metadata.row_group(group).column(column) for group in range(metadata.num_row_groups)]
        sizes = [max(chunk.total_uncompressed_size, 0) for chunk in chunks]
        counts = [max(chunk.num_values, 0) for chunk in chunks]
        values, size = values + sum(counts), size + sum(sizes)
        if any(chunk.has_dictionary_page and chunk.physical_type in ANY_LENGTH for chunk in chunks):
            if sum(map(operator.mul, sizes, counts)) > max(limits.TABLE.value, usual):
                repeated.append(metadata.schema.column(column).path)
    limits.CELLS.check(place, values)
    limits.TABLE.check(place, size, most=usual)
    if repeated:
        _check_decoded(path, repeated, usual)
    return metadata.num_rows


def _check_decoded(path: Path, columns: list[str], usual: int) -> None:
    """Raise ValueError if texts that dictionaries repeat would decode to more than `limits.TABLE`."""
    file = pyarrow.parquet.ParquetFile(path, read_dictionary=columns)
    size = 0
    for batch in file.iter_batches(columns=columns):
        for column in batch.columns:
            size += _decoded_size(column)
            limits.TABLE.check(str(path), size, at_least=True, most=usual)


def _decoded_size(column: Any) -> int:
    """Return the bytes of the texts in a column with its dictionaries decoded, also within lists and structs."""
    if isinstance(column, pyarrow.DictionaryArray):
        lengths = pyarrow.compute.binary_length(column.dictionary)
        return pyarrow.compute.sum(lengths.take(column.indices)).as_py() or 0
    if isinstance(column, pyarrow.StructArray):
        return sum(_decoded_size(part) for part in column.flatten())
    if hasattr(column, "values"):
        return _decoded_size(column.values)
    return column.nbytes
