"""Write a new folder completely or not at all, and find out early whether that is possible."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import WriteError, atomic_folder, make_folder
from ..files.disk import full


def check_new(out: str | Path) -> Path:
    """Return the path of a folder that can be made, or that exists and is empty.

    Raises: FileExistsError for a file or a folder with files; NotADirectoryError for a path below a file;
    PermissionError for a folder in which this user cannot write.

    >>> import tempfile
    >>> check_new(tempfile.mkdtemp()).is_dir()
    True
    """
    target = Path(out)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise FileExistsError(f"{str(out)!r} exists and is not an empty folder; choose another")
    parent = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise NotADirectoryError(f"cannot write {str(out)!r}: {str(parent)!r} is not a folder; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {str(out)!r}: {str(parent)!r} is read-only; choose another place")
    return target


@contextmanager
def new_folder(out: str | Path, needed: int = 0) -> Iterator[Path]:
    """Give a ``with`` block a temporary folder beside ``out``, and rename it to ``out`` at the end of the block.

    See `files.atomic_folder`: either everything is there in the end, or nothing.

    Args:
        out: the folder, see `check_new`.
        needed: bytes that the block will write at least.

    Raises: what `check_new` raises; OSError for a disk without room, with the bytes needed.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> with new_folder(place / "out") as folder:
    ...     _ = (folder / "a.txt").write_text("one")
    >>> [path.name for path in (place / "out").iterdir()]
    ['a.txt']
    """
    target = check_new(out)
    make_folder(target.parent)
    if shutil.disk_usage(target.parent).free < needed:
        raise WriteError(errno.ENOSPC, full(target, needed))
    with atomic_folder(target, needed=needed) as folder:
        yield folder
