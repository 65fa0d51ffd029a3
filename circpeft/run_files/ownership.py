"""Who works on a run or in a folder: one process at a time, named by its host and process ID.

A lock of the system excludes other processes of this host, and of others where the file system has such locks. Beside
it lies a file with the owner's name, whose time is renewed while the owner lives. An owner of this host that has ended
is noticed at once, and one of another host when its file has not been renewed for `STALE` seconds.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import files
from . import json_files
from .json_files import Count, Name, Positive

BEAT = 20.0  # seconds between two signs of life
STALE = 300.0  # seconds without one after which an owner on another host counts as dead


class BusyError(BlockingIOError):
    """Another process works here. Its text names the owner: "host gpu7, process 4711, since ..."."""


@dataclass(frozen=True)
class Owner:
    """A process that works somewhere.

    Attributes:
        host: name of the host.
        place: the host's boot and the name space of its processes, in which ``pid`` means this process.
        pid: ID of the process.
        began: when the process began, in seconds.
        since: when it took the place, in UTC.
    """

    host: Name
    place: Name
    pid: Count
    began: Positive
    since: Name

    @property
    def name(self) -> str:
        """The owner in words."""
        return f"host {self.host}, process {self.pid}, since {self.since}"


def this_process() -> Owner:
    """Return the owner that this process is.

    >>> this_process().pid == os.getpid()
    True
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(platform.node() or "unknown", _place(), os.getpid(), _began(os.getpid()), now)


@contextmanager
def owned(lock: Path) -> Iterator[None]:
    """Own what a lock file stands for while a ``with`` block runs.

    Args:
        lock: the lock file. The owner's file has its name and ``.json``.

    Raises: BusyError, which names the other process, if one owns it; OSError where the files cannot be written.

    >>> lock = Path(tempfile.mkdtemp()) / "run.lock"
    >>> with owned(lock):
    ...     print(read_owner(lock).pid == os.getpid())
    True
    >>> read_owner(lock) is None
    True
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(files.locked(lock))
        except BlockingIOError:
            other = read_owner(lock)
            raise BusyError(other.name if other else "a process that has not left its name") from None
        other, path = read_owner(lock), owner_path(lock)
        if other is not None and is_alive(other, path):
            raise BusyError(other.name)
        files.write_atomically(path, json.dumps(asdict(this_process())) + "\n")
        ended = threading.Event()
        threading.Thread(target=_renew, args=(path, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            path.unlink(missing_ok=True)


def owner_path(lock: Path) -> Path:
    """Return the path of the file that names the owner."""
    return lock.with_name(f"{lock.name}.json")


def read_owner(lock: Path) -> Owner | None:
    """Return the owner, dead or alive; None without one, or if its file is not that of an owner."""
    try:
        return json_files.read(owner_path(lock), Owner)[0]
    except (OSError, ValueError):  # nobody, or nobody who can be named: the lock decides
        return None


def forget_dead(lock: Path) -> None:
    """Remove the file of an owner that has ended without removing it, such as a process that was killed.

    >>> forget_dead(Path(tempfile.mkdtemp()) / "run.lock")  # without an owner, nothing happens
    """
    if not owner_path(lock).exists():
        return
    with suppress(BlockingIOError), files.locked(lock):  # somebody else owns it now
        owner = read_owner(lock)
        if owner is not None and not is_alive(owner, owner_path(lock)):
            owner_path(lock).unlink(missing_ok=True)


def is_alive(owner: Owner, path: Path) -> bool:
    """Return whether an owner works: by its process on this host, by the age of its file on another."""
    if owner.place == _place():
        return owner.pid != os.getpid() and abs(_began(owner.pid) - owner.began) < 2
    try:
        with tempfile.TemporaryFile(dir=path.parent) as now:  # by the clock of the file system, not of a host
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime < STALE
    except FileNotFoundError:  # it has just ended
        return False


def _renew(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        try:
            os.utime(path)
        except OSError:  # the folder is gone, or the network for a moment: the next beat tries again
            continue


def _place() -> str:
    parts = []
    boot = Path("/proc/sys/kernel/random/boot_id")
    for read in (lambda: boot.read_text(encoding="ascii").strip(), lambda: os.readlink(PID_SPACE)):
        try:
            parts.append(read())
        except OSError:  # not Linux
            parts.append("")
    return " ".join([platform.node(), *parts])


PID_SPACE = "/proc/self/ns/pid"


def _began(pid: int) -> float:
    """Return when a process began; -10 if it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return -10.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return -10.0
