"""Write a new folder completely or not at all, and find out early whether that is possible."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ..files import atomic_folder, make_folder

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise OSError(_full(out, needed, free))
    try:
        with atomic_folder(target) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:  # safetensors writes files without raising OSError
        if getattr(error, "errno", None) in FULL or any(os.strerror(number) in str(error) for number in FULL):
            raise OSError(_full(out, needed, shutil.disk_usage(target.parent).free)) from error
        raise


def _full(out: str | Path, needed: int, free: int) -> str:
    size = f"{needed / 2**20:,.0f} MiB are needed, and " if needed else ""
    return f"no room for {str(out)!r}: {size}{free / 2**20:,.0f} MiB are free; choose a place on another disk"
