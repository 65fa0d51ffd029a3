"""Read a table of a data folder (jsonl, json, csv, tsv or parquet) so that no value is changed or lost silently."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
from datasets import Dataset, concatenate_datasets
from datasets.exceptions import DatasetGenerationError

from ..files import as_utf8
from . import delimited, json_rows
from .arrow_values import check_values
from .claimed_sizes import check_parquet, check_size, check_text_size
from .file_formats import TABLE_FORMATS, stem_and_ending
from .table_cache import cached, linked

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # those of UTF-32 begin with them


def read(paths: list[Path], texts: tuple[str, ...] = (), headerless: tuple[str, ...] = ()) -> Dataset:
    """Read the rows of a file, or of the files that a split is cut into, in their order.

    Args:
        paths: the files.
        texts: columns that hold texts in csv and tsv, even where all values look like numbers.
        headerless: columns of a tsv file whose first line has none of ``texts``.

    Raises: ValueError, with the file, for a file without rows, a file that cannot be read (with the line that is not
    UTF-8; see `delimited.read` and `json_rows.read`), one that exceeds a limit (see `claimed_sizes`), and files of one
    split with different columns; FileNotFoundError for a link that leads nowhere.
    """
    parts = [_read(path, texts, headerless) for path in paths]
    if len(parts) == 1:
        return parts[0]
    try:
        return concatenate_datasets(parts)
    except (ValueError, TypeError, pyarrow.ArrowException) as error:
        raise ValueError(
            f"{', '.join(path.name for path in paths[:8])} in {str(paths[0].parent)!r} are files of one split, but "
            f"their columns differ: {error}"
        ) from error


def _read(path: Path, texts: tuple[str, ...], headerless: tuple[str, ...]) -> Dataset:
    form = TABLE_FORMATS[stem_and_ending(path)[1]]
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(
            f"{str(path)!r} is a link to {str(path.readlink())!r}, which does not exist; put the file there, or "
            f"replace the link by it"
        )
    try:
        if path.stat().st_size == 0 or form == "parquet" and not check_parquet(path):
            raise ValueError("no data")
        if form != "parquet":
            check_size(path)  # before the contents are read for the cache
            return cached(path, f"{form} {texts} {headerless}", lambda: _parsed(path, form, texts, headerless))
        # Not load_dataset: it reports every load of local files to the hub, and waits seconds if that is unreachable.
        rows = Dataset.from_parquet(str(linked(path)))
        check_values(rows, str(path))
        return rows
    except (DatasetGenerationError, pyarrow.ArrowException) as error:
        raise ValueError(f"cannot read {str(path)!r} as {form}: {str(error.__cause__ or error).strip()}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"cannot read {str(path)!r}: it is damaged, or was not written by gzip ({error})") from error
    except OSError as error:
        if form != "parquet" or error.errno is not None:  # pyarrow gives an error of a damaged file no number
            raise
        raise ValueError(f"cannot read {str(path)!r} as parquet: it is damaged ({error})") from error
    except ValueError as error:
        if str(error) != "no data":  # the readers' message for a file without rows
            raise
        raise ValueError(f"empty split: {path.name} in {str(path.parent)!r} has no rows") from error


def _parsed(path: Path, form: str, texts: tuple[str, ...], headerless: tuple[str, ...]) -> Dataset:
    check_text_size(path, form, stem_and_ending(path)[1].endswith(".gz"))
    _check_utf8(path)
    with _opened(path) as file:
        if form in delimited.DIALECTS:
            return delimited.read(file, str(path), form, texts, headerless)
        return json_rows.read(file, str(path))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a table, unpacked. One with the byte-order mark of UTF-16, as Windows writes it, is given as UTF-8."""
    file: Any
    with gzip.open(path) if stem_and_ending(path)[1].endswith(".gz") else path.open("rb") as file:
        if file.peek(2)[:2] in UTF16_MARKS:
            yield _from_utf16(file.read(), path)
        else:
            yield file


def _from_utf16(text: bytes, path: Path) -> BinaryIO:
    try:
        return io.BytesIO(as_utf8(text))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"cannot read {str(path)!r}: it begins with the mark of UTF-16, but is not UTF-16; "
            f"save the file as UTF-8 ({error})"
        ) from error


def _check_utf8(path: Path) -> None:
    """Raise ValueError for the first line that is not UTF-8: pyarrow would read it, and fail where it is used."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"cannot read {str(path)!r}: line {number} is not UTF-8; save the file as UTF-8 ({error})"
                ) from error
