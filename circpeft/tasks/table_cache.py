"""Tables that take a while to read, kept in the cache of datasets."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
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
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"{FORM} {datasets.__version__} {how}".encode())
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "circpeft" / digest.hexdigest()[:32]
    if not folder.exists():
        rows = read()
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent)
        try:
            rows.save_to_disk(made)
            os.rename(made, folder)
        except OSError:
            if not folder.exists():  # else another process was sooner
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return load_from_disk(folder)
