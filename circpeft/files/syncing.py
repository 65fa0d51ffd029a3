"""Wait until files and folders are on the disk, so that a power cut does not undo them."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

if sys.platform == "darwin":
    from fcntl import F_FULLFSYNC, fcntl

UNSYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY, errno.EBADF)  # of file systems that cannot sync a folder


def make_folder(path: str | Path) -> None:
    """Make a folder, and those above it as needed, so that a power cut does not undo it.

    Raises: NotADirectoryError if a file is in the way; OSError where a folder cannot be made.
    """
    if os.path.isfile(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    missing = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    Path(path).mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_file(path: str | Path) -> None:
    """Wait until the content of a file is on the disk."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs only what is open for writing
    try:
        sync_open_file(handle)
    finally:
        os.close(handle)


def sync_folder(path: str | Path) -> None:
    """Wait until the names in a folder are on the disk. Windows and a few file systems do this by themselves."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        sync_open_file(handle)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(handle)


def sync_tree(path: str | Path) -> None:
    """Wait until everything in a folder is on the disk: each file, and the names in each folder. Links stay links."""
    for folder, _, names in os.walk(path, topdown=False):
        for file in (os.path.join(folder, name) for name in names):
            if os.path.isfile(file) and not os.path.islink(file):
                sync_file(file)
        sync_folder(folder)


def sync_open_file(handle: int) -> None:
    """Wait until the content of an open file is on the disk."""
    if sys.platform == "darwin":  # fsync of macOS leaves the data in the disk's own memory
        try:
            fcntl(handle, F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in UNSYNCED:
                raise
    os.fsync(handle)
