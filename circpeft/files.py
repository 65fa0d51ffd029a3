"""Write files whole or not at all, and hold a folder for one process at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write a file under a temporary name and rename it, so that a reader sees all of it or none.

    Text is written as UTF-8 with its line ends unchanged. Folders are made as needed. An existing file is replaced;
    it stays as it was if writing fails.

    Returns: the path.

    Raises: OSError where the folder cannot be written to.

    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "new" / "a.txt", "one").read_text()
    'one'
    >>> [path.name for path in (folder / "new").iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes a file that only its owner can read
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)  # still there only if writing failed
    return path


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a lock file while a ``with`` block runs; the system releases it if the process dies.

    Raises: BlockingIOError if another process, or this one, holds it; OSError where it cannot be created.

    >>> lock = Path(tempfile.mkdtemp()) / ".lock"
    >>> with locked(lock):
    ...     with locked(lock):
    ...         pass
    Traceback (most recent call last):
    ...
    BlockingIOError: ... is locked by another run
    """
    held = FileLock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(f"{path} is locked by another run") from None
    try:
        yield
    finally:
        held.release()
