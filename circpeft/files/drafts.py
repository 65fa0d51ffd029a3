"""Temporary files and folders that name their writer, so that those of killed processes can be found and removed.

A folder that is being replaced is moved into one of these, too. It gets its name back if the process is killed then.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .syncing import sync_folder

EARLIER = "earlier."  # in the name of a folder that holds what is being replaced
DRAFT = re.compile(rf"\.(?P<mark>{EARLIER})?(?P<host>[0-9a-f]{{8}})-(?P<process>\d+)\.part$")  # end of a temporary name
DAY = 24 * 60 * 60
STARTED = time.time()
TIDIED: set[str] = set()  # folders from which this process has removed leftovers


def draft_path(parent: Path, name: str, mark: str = "") -> Path:
    """Return a temporary name in a folder. Before the first one there, leftovers of killed processes are removed.

    Args:
        parent: the folder.
        name: the final name.
        mark: `EARLIER` for a folder into which the one with the final name is moved.
    """
    place = os.path.abspath(parent)
    if place not in TIDIED:
        TIDIED.add(place)
        remove_leftovers(parent)
    return parent / f".{name[:40]}.{secrets.token_hex(4)}.{mark}{_host()}-{os.getpid()}.part"


@contextmanager
def draft_folder(parent: Path, name: str) -> Iterator[Path]:
    """Give a ``with`` block a temporary folder in ``parent``, which is deleted at the end of the block.

    Its name has the process that made it, so that `remove_leftovers` finds it if that process is killed.
    """
    draft = draft_path(parent, name)
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder. Those of living ones stay.

    A folder that a killed process had moved aside to replace it gets its name back, unless the new one has the name.

    Leftovers of another host are removed a day after their last change, since nobody here can tell whether it still
    writes. On Windows this holds for those of this host, too. `write_atomically` and `atomic_folder` call this once per
    folder.
    """
    for path in Path(folder).glob(".*.part"):
        owner = DRAFT.search(path.name)
        if owner and _is_abandoned(path, owner["host"], int(owner["process"])):
            if owner["mark"]:
                put_back(path)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):  # of another user
                    path.unlink()


def put_back(aside: Path) -> None:
    """Give a folder that was moved aside its name back if nothing has that name; else delete it.

    Args:
        aside: the folder that holds it, beside the place where it was.
    """
    with suppress(OSError):  # another process does the same, or may and this one may not
        for folder in aside.iterdir():
            place = aside.parent / folder.name
            if not os.path.lexists(place):
                os.rename(folder, place)
                sync_folder(aside.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _is_abandoned(path: Path, host: str, process: int) -> bool:
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:  # its process has just finished it
        return False
    if host != _host() or os.name == "nt":
        return time.time() - changed > DAY
    if process == os.getpid():
        return changed < STARTED  # of an earlier process with this number, as in a container that starts again
    try:
        os.kill(process, 0)  # sends nothing
    except OSError as error:
        return error.errno == errno.ESRCH  # otherwise it lives, and is another user's
    return False


@cache
def _host() -> str:
    """Return a mark of this host, or of this container: each container has process numbers of its own."""
    namespace = Path("/proc/self/ns/pid")
    inside = namespace.stat().st_ino if namespace.exists() else 0
    return hashlib.sha256(f"{platform.node()} {inside}".encode()).hexdigest()[:8]
