"""Put a new folder in the place of one that has files, so that a reader, or the next writer, finds one of the two."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from .drafts import EARLIER, draft_path, put_back

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and fs.h


def replace_folder(draft: Path, path: Path) -> None:
    """Give a temporary folder the name of a folder that has files. What had the name may be deleted afterwards.

    On Linux, the two exchange their names in one step. Where the system or the file system cannot do that, the earlier
    folder is moved aside first; if the process is killed before the new one has the name, `remove_leftovers` puts the
    earlier one back.

    Raises: OSError if the new folder cannot get the name; the earlier one then has it.
    """
    if exchanged(draft, path):
        return
    aside = draft_path(path.parent, path.name, EARLIER)
    aside.mkdir()
    try:
        os.rename(path, aside / path.name)  # a folder cannot be renamed over one with files
        os.rename(draft, path)
    finally:  # also after Ctrl-C
        put_back(aside)


def exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step. Return False, with nothing changed, where that is not possible."""
    if sys.platform != "linux":
        return False
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)  # some C libraries do not have it
    if exchange is None:
        return False
    return bool(exchange(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)
