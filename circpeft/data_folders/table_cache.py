"""The cache of datasets: tables that take a while to read are kept there, and links to what datasets itself reads."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
from datasets import Dataset, load_from_disk

LARGE = 2**20  # bytes, from which on a table is kept
FORM = 1  # of what is kept; another number leaves behind what earlier versions have kept


def cached(path: Path, how: str, read: Callable[[], Dataset]) -> Dataset:
    """What ``read`` makes of a file, from the cache where a large one of these bytes has been read before.

    It is looked up by what the file holds, and its rows lie on disk: further processes take little memory for them, and
    find what they have been mapped to before.

    Args:
        path: the file.
        how: everything beside the file that its reading depends on.
        read: makes the rows.
    """
    if path.stat().st_size < LARGE:
        return read()
    key = f"{FORM} {datasets.__version__} {how}"
    return load_from_disk(_kept([path], key, lambda made: read().save_to_disk(made)))


def linked(path: Path, files: Iterable[Path] = ()) -> Path:
    """A link to a file, or a folder of links to ``files`` of a folder, to be given to datasets in its place.

    datasets takes a file's path for a pattern of paths, and one with the same time for the file that was there before;
    what it makes of a saved data set it writes beside it. Here it writes into the cache, by what the files hold.
    """
    places = {file.relative_to(path): file.resolve() for file in files} or {Path("file"): path.resolve()}

    def link(made: str) -> None:
        for place, file in places.items():
            (Path(made) / place).parent.mkdir(exist_ok=True)
            (Path(made) / place).symlink_to(file)

    folder = _kept([*places.values()], f"links {[*map(str, places.items())]}", link)
    return folder / "file" if path.is_file() else folder


def _kept(files: list[Path], key: str, make: Callable[[str], None]) -> Path:
    """The folder of the cache for files of these bytes, made where it is not there yet."""
    total = hashlib.sha256(key.encode())
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "circpeft" / total.hexdigest()[:32]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent)
        try:
            make(made)
            os.rename(made, folder)
        except OSError:
            if not folder.exists():  # else another process was sooner
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder
