"""Keep slowly parsed tables in the cache of datasets, and give datasets links to the files that it reads itself."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
from datasets import Dataset, load_from_disk

from ..files import atomic_folder

LARGE = 2**20  # bytes; a table of this size or more is kept
VERSION = 1  # of the cached form; another number makes all tables be parsed again


def cached(path: Path, how: str, read: Callable[[], Dataset]) -> Dataset:
    """Return the rows of a file; those of a large file come from the cache if the same contents were read before.

    Cached rows are on disk, so that further processes need little memory for them and find what was computed from them.

    Args:
        path: the file.
        how: everything else that reading depends on.
        read: parses the file.
    """
    if path.stat().st_size < LARGE:
        return read()
    key = f"{VERSION} {datasets.__version__} {how}"
    return load_from_disk(_cached_folder([path], key, lambda folder: read().save_to_disk(folder)))


def linked(path: Path, files: Iterable[Path] = ()) -> Path:
    """Return a link to a file, or a folder with links to ``files`` of a folder, for datasets to read.

    datasets interprets the path of a file as a pattern, mistakes a changed file with the same time for the earlier one,
    and writes what it computes from a saved data set into its folder. With a link in the cache, whose name depends on
    the contents, it does none of this.
    """
    places = {file.relative_to(path): file.resolve() for file in files} or {Path("file"): path.resolve()}

    def link(target: str) -> None:
        for place, file in places.items():
            (Path(target) / place).parent.mkdir(exist_ok=True)
            _link(Path(target) / place, file)

    folder = _cached_folder([*places.values()], f"links {[*map(str, places.items())]}", link)
    return folder / "file" if path.is_file() else folder


def _link(place: Path, file: Path) -> None:
    """Make a link to a file, or a copy where the system allows no links, as Windows does for most users."""
    try:
        place.symlink_to(file)
    except OSError as error:
        if getattr(error, "winerror", None) != 1314:  # a privilege is missing
            raise
        shutil.copyfile(file, place)


def _cached_folder(files: list[Path], key: str, write: Callable[[str], None]) -> Path:
    """Return the cache's folder for files with these contents; if it does not exist, ``write`` fills it."""
    total = hashlib.sha256(key.encode())
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "circpeft" / total.hexdigest()[:32]
    if not folder.exists():
        try:
            with atomic_folder(folder) as unfinished:
                write(str(unfinished))
        except OSError:
            if not folder.exists():  # otherwise another process was faster
                raise
    return folder
