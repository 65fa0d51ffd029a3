"""Read texts of any Unicode form, write files whole or not at all, and hold a folder for one process at a time."""

from __future__ import annotations

import codecs
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

# Byte-order marks, with the encoding that each stands for. That of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def as_utf8(text: bytes) -> bytes:
    """Return the bytes of a text in UTF-8, without a byte-order mark. A text without a mark stays as it is.

    Raises: UnicodeDecodeError, which is a ValueError, for a text that is not in the encoding of its mark.

    >>> as_utf8("a = 1".encode("utf-16")), as_utf8("\ufeffa = 1".encode())
    (b'a = 1', b'a = 1')
    """
    encoding = next((encoding for mark, encoding in MARKS.items() if text.startswith(mark)), "")
    return text.decode(encoding).encode() if encoding else text


def read_text(path: str | Path) -> str:
    """Read a text file in the encoding that its byte-order mark names, or else in UTF-8. Line ends become ``\\n``.

    Raises: UnicodeDecodeError, which is a ValueError, for a file in another encoding; OSError for one that cannot be
    read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.toml"
    >>> _ = path.write_bytes("\ufeffa = 1\\r\\n".encode())
    >>> read_text(path)
    'a = 1\\n'
    """
    return as_utf8(Path(path).read_bytes()).decode().replace("\r\n", "\n").replace("\r", "\n")


def expanded(path: str | Path) -> str:
    """Return a path with its leading ``~`` and its environment variables (``$HOME``) replaced, as a shell does.

    Variables that are not set stay as they are.

    >>> os.environ["SETS"] = "/sets"
    >>> expanded("$SETS/rte"), expanded("rte")
    ('/sets/rte', 'rte')
    """
    return os.path.expanduser(os.path.expandvars(path))


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write a file under a temporary name and rename it, so that a reader sees all of it or none.

    Text is written as UTF-8 with its line ends unchanged. Folders are made as needed. An existing file is replaced;
    it stays as it was if writing fails. The mode of the file is that of the user's umask.

    Returns: the path.

    Raises: OSError where the folder cannot be written to.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "new" / "a.txt", "one").read_text()
    'one'
    >>> [path.name for path in (folder / "new").iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as stream:  # not by tempfile, whose files only their owner can read
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # still there only if writing failed
    return path


def apply_umask(path: str | Path) -> None:
    """Give a file, or a folder with all that is in it, the mode that the user's umask leaves.

    The writer of safetensors and the module tempfile make files and folders that only their owner can read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> apply_umask(folder)
    >>> (folder / "new").mkdir()
    >>> folder.stat().st_mode == (folder / "new").stat().st_mode
    True
    """
    umask = os.umask(0o077)  # the system tells it only when it is set
    os.umask(umask)
    path = Path(path)
    for entry in (path, *path.rglob("*")):
        if not entry.is_symlink():
            inherited = entry.stat().st_mode & 0o7000  # of its folder, such as its group
            os.chmod(entry, inherited | ((0o777 if entry.is_dir() else 0o666) & ~umask))


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a lock file while a ``with`` block runs; the system releases it if the process dies.

    Raises: BlockingIOError if another process, or this one, holds it; OSError where it cannot be created.

    >>> import tempfile
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
