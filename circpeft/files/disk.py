"""Files that cannot be written: a check before any work, and one error for a disk that is full or read-only."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# PyTorch reports any failure of writing in these words, without the system's reason.
OF_TORCH = ("PytorchStreamWriter failed", "unexpected pos")


class WriteError(OSError):
    """Something cannot be written. Its text is one line; ``errno`` is the system's reason."""

    def __str__(self) -> str:
        return str(self.strerror)


def check_writable(folder: str | Path) -> None:
    """Raise if this user cannot write in a folder, or could not make it. Nothing is made.

    Raises: NotADirectoryError if a file is in the way; PermissionError without permission. Both name the path.

    >>> check_writable("/dev/null/below")
    Traceback (most recent call last):
        ...
    NotADirectoryError: '/dev/null' is not a folder
    """
    path = Path(folder).absolute()
    existing = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not existing.is_dir():
        raise NotADirectoryError(f"{str(existing)!r} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"no permission to write in {str(existing)!r}")


def is_full(error: BaseException) -> bool:
    """Return whether an error tells of a full disk, also one of a library that raises its own.

    >>> is_full(OSError(errno.ENOSPC, "")), is_full(RuntimeError("unexpected pos 64 vs 0")), is_full(ValueError("x"))
    (True, True, False)
    """
    return _reason(error) in FULL


def _reason(error: BaseException) -> int | None:
    """Return the system's number of a reason why nothing can be written; None for any other error."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in FULL + READ_ONLY else None
    if isinstance(error, RuntimeError) and any(words in str(error) for words in OF_TORCH):
        return errno.ENOSPC
    if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
        return None
    return next((number for number in FULL if os.strerror(number) in str(error)), None)  # without a number of its own


def _is_at(error: BaseException, path: Path) -> bool:
    """Return whether an error is about a path, a draft beside it, or a folder above it; or names no file."""
    name = getattr(error, "filename", None)
    if not isinstance(name, (str, bytes)):
        return True
    named, place = Path(os.fsdecode(name)).absolute(), path.absolute()
    if not named.is_relative_to(place.parent):
        return place.is_relative_to(named)
    below = named.relative_to(place.parent).parts[:1]
    return below in ((), (place.name,)) or below[0].startswith(".")  # so are drafts and locks called


@contextmanager
def explained(path: str | Path, needed: int = 0, elsewhere: str = "") -> Iterator[None]:
    """Replace the errors of a full or read-only disk in a ``with`` block by a `WriteError` about a path.

    A `WriteError` stays as it is: it names the place more closely.

    Args:
        path: the file or folder that the block writes.
        needed: its size in bytes, if it is known.
        elsewhere: how to choose another place; "" for a path that the user gave.

    >>> with explained("runs/a.json", 3 * 2**20):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    circpeft.files.disk.WriteError: no room for 'runs/a.json': 3 MiB are needed, and ... MiB are free; ...
    """
    path = Path(path)
    try:
        yield
    except WriteError:
        raise
    except Exception as error:
        number = _reason(error)
        if number is None or not _is_at(error, path):
            raise
        line = _full(path, needed, elsewhere, number) if number in FULL else _read_only(path, elsewhere, number)
        raise WriteError(number, line) from error


def check_room(path: str | Path, needed: int, elsewhere: str = "") -> None:
    """Raise WriteError if the disk of a path has less room than is needed.

    Args:
        path: the file or folder that will be written.
        needed: its size in bytes.
        elsewhere: as in `explained`.

    >>> check_room("runs/model", 2**70)
    Traceback (most recent call last):
    ...
    circpeft.files.disk.WriteError: no room for 'runs/model': 1,125,899,906,842,624 MiB are needed, and ...
    """
    if _free(path) < needed:
        raise WriteError(errno.ENOSPC, _full(path, needed, elsewhere))


def _full(path: str | Path, needed: int, elsewhere: str, reason: int = errno.ENOSPC) -> str:
    """Return the line about a path for which the disk has no room."""
    if reason == errno.EFBIG:  # a limit of the shell, or of a file system such as FAT
        return f"no room for {str(path)!r}: the system allows no file of this size here; raise the limit (ulimit -f)"
    size = f"{_size(needed)} are needed, and " if needed else ""
    other = elsewhere or "choose a place on another disk"
    return f"no room for {str(path)!r}: {size}{_size(_free(path))} are free; free some, or {other}"


def _read_only(path: Path, elsewhere: str, reason: int) -> str:
    other = elsewhere or "choose another place"
    return f"cannot write {str(path)!r}: {os.strerror(reason)}; {other}, or make it writable"


def _free(path: str | Path) -> int:
    return shutil.disk_usage(_existing(Path(path))).free


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
