"""Read texts of any Unicode form, write files and folders whole or not at all, and hold one for a single process.

What is written is on the disk before it gets its name, and the name is on the disk before the function returns.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .disk import WriteError, check_room, check_writable, explained, is_full
from .drafts import draft_folder, draft_path, remove_leftovers
from .replacing import replace_folder
from .syncing import make_folder, sync_file, sync_folder, sync_open_file, sync_tree

__all__ = [
    "WriteError",
    "apply_umask",
    "as_utf8",
    "atomic_folder",
    "check_room",
    "check_writable",
    "draft_folder",
    "expanded",
    "explained",
    "is_full",
    "locked",
    "make_folder",
    "read_text",
    "remove_leftovers",
    "sync_file",
    "sync_folder",
    "sync_tree",
    "write_atomically",
]

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

    When this returns, the file is on the disk: a power cut does not undo it. Text is written as UTF-8 with its line
    ends unchanged. Folders are made as needed. An existing file is replaced; it stays as it was if writing fails. The
    mode of the file is that of the user's umask.

    Returns: the path.

    Raises: OSError where the folder cannot be written to; it is a `WriteError` for a full or read-only disk.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "new" / "a.txt", "one").read_text()
    'one'
    >>> [path.name for path in (folder / "new").iterdir()]
    ['a.txt']
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    with explained(path, len(data)):
        _write(path, data)
    return path


def _write(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    temporary = draft_path(path.parent, path.name)
    try:
        with open(temporary, "xb") as stream:  # not by tempfile, whose files only their owner can read
            stream.write(data)
            stream.flush()
            sync_open_file(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # still there only if writing failed
    sync_folder(path.parent)


@contextmanager
def atomic_folder(path: str | Path, replace: bool = False, needed: int = 0, elsewhere: str = "") -> Iterator[Path]:
    """Give a ``with`` block a temporary folder beside ``path``, and rename it to ``path`` at the end of the block.

    When the block has ended, all files are on the disk, with the modes of the user's umask. If it raises an error, the
    temporary folder is deleted, and an existing folder stays as it was. A link to a folder stays a link. How a folder
    is replaced if the process is killed: see `replacing.replace_folder`.

    Args:
        path: the folder. It must not exist, or be empty.
        replace: whether to replace a folder that has files.
        needed: bytes that the block will write at least, if known.
        elsewhere: how to choose another place, for the error of a full disk, see `explained`.

    Raises: OSError where the folder cannot be written, and for one that has files without ``replace``; it is a
    `WriteError` for a full or read-only disk, also if it arises in the block.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> with atomic_folder(place / "out") as folder:
    ...     _ = (folder / "a.txt").write_text("one")
    >>> [path.relative_to(place).as_posix() for path in place.rglob("*")]
    ['out', 'out/a.txt']
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path  # a link cannot be removed as a folder is
    with explained(path, needed, elsewhere), _draft_of(path) as draft:
        yield draft
        apply_umask(draft)
        sync_tree(draft)
        if not path.is_dir():
            os.rename(draft, path)
        elif replace:
            replace_folder(draft, path)
        else:
            path.rmdir()
            os.rename(draft, path)
        sync_folder(path.parent)


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    make_folder(path.parent)
    with draft_folder(path.parent, path.name) as draft:
        yield draft


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
