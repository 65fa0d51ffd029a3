"""Files and folders are on the disk before they have their names, and a killed writer leaves nothing under them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from circpeft import files
from circpeft.files import drafts, syncing

CUT = """
import resource, sys
from pathlib import Path
from circpeft import files

# The system kills a process that writes past this size.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
target = Path(sys.argv[2])
if sys.argv[1] == "file":
    files.write_atomically(target, b"n" * 10_000)
else:
    with files.atomic_folder(target, replace=True) as folder:
        (folder / "README.md").write_text("new")
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_bytes(b"n" * 10_000)
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a reader finds: the files of a folder without those that begin with a dot."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
    return {name: content for name, content in names.items() if not name.startswith(".")}


@pytest.mark.parametrize(
    ("kind", "size", "earlier"),
    [("file", 1, True), ("file", 9_999, False), ("folder", 1, False), ("folder", 9_999, True)],
)
def test_a_writer_killed_at_a_byte_leaves_the_earlier_content_and_its_remains_are_removed(
    tmp_path, kind, size, earlier
):
    target = tmp_path / "a"
    if earlier and kind == "file":
        target.write_bytes(b"old")
    elif earlier:
        target.mkdir()
        (target / "weights").write_bytes(b"old")
    before = contents(tmp_path)
    command = [sys.executable, "-c", CUT, kind, str(target), str(size)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -25, killed.stderr  # SIGXFSZ
    assert contents(tmp_path) == before
    assert len([path for path in tmp_path.iterdir() if path.name.endswith(".part")]) == 1
    files.write_atomically(tmp_path / "b", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == (["a", "b"] if earlier else ["b"])


@pytest.fixture
def calls(monkeypatch) -> list[tuple]:
    """Return a list that gets each rename, and the path of each file and folder that is synced."""
    made: list[tuple] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(handle):
        made.append(("sync", Path(os.readlink(f"/proc/self/fd/{handle}"))))
        fsync(handle)

    def renamed(call):
        def record(source, target):
            made.append(("rename", Path(source), Path(target)))
            call(source, target)

        return record

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed(replace))
    monkeypatch.setattr(os, "rename", renamed(rename))
    return made


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")


@needs_proc
def test_a_file_is_synced_then_renamed_then_its_folder_is_synced(tmp_path, calls):
    path = files.write_atomically(tmp_path / "new" / "a", "text")
    (made, first), (written, draft), (renamed, source, target), (folder, last) = calls
    assert (made, written, renamed, folder) == ("sync", "sync", "rename", "sync")
    assert (first, draft, target, last) == (tmp_path, source, path, path.parent), "the new folder's name is synced, too"


@needs_proc
def test_each_file_and_folder_of_a_folder_is_synced_before_the_rename(tmp_path, calls):
    with files.atomic_folder(tmp_path / "a") as folder:
        (folder / "deep" / "er").mkdir(parents=True)
        for name in ("one", "deep/two", "deep/er/three"):
            (folder / name).write_text(name)
    *before, (_, source, target), (_, last) = calls
    assert source == folder and target == tmp_path / "a" and last == tmp_path
    synced = [path for _, path in before]
    assert set(synced) == {folder, *(folder / name for name in "deep deep/er one deep/two deep/er/three".split())}
    assert synced[-1] == folder and synced.index(folder / "deep/er") > synced.index(folder / "deep/er/three")


def test_an_error_leaves_the_earlier_folder(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(tmp_path / "a", replace=True) as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="not empty"), files.atomic_folder(tmp_path / "a") as folder:
        (folder / "new").touch()
    with files.atomic_folder(tmp_path / "a", replace=True) as folder:
        (folder / "new").touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "new"]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_a_link_stays_and_its_folder_is_written(tmp_path, exists, replace):
    """As on a machine that keeps large folders on another disk."""
    (tmp_path / "disk").mkdir()
    if exists:
        (tmp_path / "disk" / "real").mkdir()
        (tmp_path / "disk" / "real" / "old").touch() if replace else None
    (tmp_path / "a").symlink_to(tmp_path / "disk" / "real")
    with files.atomic_folder(tmp_path / "a", replace=replace) as folder:
        (folder / "new").touch()
    assert (tmp_path / "a").is_symlink() and [path.name for path in (tmp_path / "disk").rglob("*")] == ["real", "new"]


def test_temporary_files_of_living_writers_stay(tmp_path, monkeypatch):
    """Those of the dead, of an earlier process with this one's number, and old ones of other hosts are removed."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here, day_ago = drafts._host(), time.time() - drafts.DAY - 60

    def draft(name: str, host: str, process: int, changed: float | None = None, folder: bool = False) -> Path:
        path = tmp_path / f".{name}.x{host}.{host}-{process}.part"
        path.mkdir() if folder else path.touch()
        if folder:
            (path / "config.json").touch()
        if changed:
            os.utime(path, (changed, changed))
        return path

    kept = {draft("own", here, os.getpid()), draft("parent", here, os.getppid(), day_ago), draft("other", "0" * 8, 1)}
    kept |= {tmp_path / ".mine.part", tmp_path / "thing.part"}
    for path in (tmp_path / ".mine.part", tmp_path / "thing.part"):
        path.touch()
    gone = [draft("dead", here, dead.pid), draft("folder", here, dead.pid, folder=True)]
    gone += [draft("number", here, os.getpid(), drafts.STARTED - 1), draft("afar", "0" * 8, 2, day_ago)]
    files.remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == kept and not any(path.exists() for path in gone)


def test_a_leftover_that_cannot_be_removed_stops_no_writing(tmp_path, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.{drafts._host()}-{dead.pid}.part").touch()
    monkeypatch.setattr(
        drafts.Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("another user's"))
    )
    files.remove_leftovers(tmp_path)


def test_systems_that_sync_otherwise(tmp_path, monkeypatch):
    """macOS has a call of its own, Windows cannot open a folder, and some file systems refuse to sync one."""
    synced = []
    monkeypatch.setattr(syncing, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(syncing, "fcntl", lambda handle, call: synced.append(call), raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(syncing.sys, "platform", "darwin")
        syncing.sync_folder(tmp_path)
    assert synced == [51]
    with monkeypatch.context() as patch:
        patch.setattr(syncing.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(22, "Invalid argument")))
        syncing.sync_folder(tmp_path)
        (tmp_path / "a").touch()
        with pytest.raises(OSError, match="Invalid argument"):
            syncing.sync_file(tmp_path / "a")
        patch.setattr(syncing.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            syncing.sync_folder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(syncing.os, "name", "nt")
        patch.setattr(syncing.os, "open", lambda *_: pytest.fail("Windows opens no folder"))
        syncing.sync_folder("a")


def test_a_long_name_in_any_script(tmp_path):
    path = files.write_atomically(tmp_path / ("語" * 80), "one")
    assert path.read_text() == "one"
