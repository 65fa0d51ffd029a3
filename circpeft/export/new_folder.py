"""Write a new folder completely or not at all, and find out early whether that is possible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import atomic_folder, check_room, check_writable, make_folder


def check_new(out: str | Path) -> Path:
    """Return the path of a folder that can be made, or that exists and is empty.

    Raises: FileExistsError for anything else in its place, and for an empty folder that cannot be replaced, since it is
    the working directory or a mount point; NotADirectoryError for a path below a file; PermissionError for a folder in
    which this user cannot write.

    >>> import tempfile
    >>> check_new(tempfile.mkdtemp()).is_dir()
    True
    """
    target = Path(out)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{str(out)!r} exists and is not an empty folder; choose another")
    if target.exists() and (os.path.ismount(target) or target.samefile(os.curdir)):
        raise FileExistsError(
            f"{str(out)!r} is the working directory or a mount point, which cannot be replaced; choose a folder in it"
        )
    try:
        check_writable(target.resolve().parent)
    except OSError as error:
        raise type(error)(f"cannot write {str(out)!r}: {error}; choose another place") from None
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
    check_room(target, needed)
    with atomic_folder(target, needed=needed) as folder:
        yield folder
