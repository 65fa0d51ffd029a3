"""A folder that is replaced: an error, Ctrl-C or a kill leaves the earlier one or the new one under the name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from circpeft import files
from circpeft.files import drafts, replacing
from circpeft.recipes import Recipe
from circpeft.training import weight_faults, weights_of

KILLED = """
import os, signal, sys
from pathlib import Path
from circpeft import files
from circpeft.files import replacing

target, real = Path(sys.argv[1]), os.rename

def killed(source, destination):
    real(source, destination)
    if Path(source) == target:
        os.kill(os.getpid(), signal.SIGKILL)

os.rename, replacing.exchanged = killed, lambda one, other: False
with files.atomic_folder(target, replace=True) as folder:
    (folder / "new").touch()
"""


@pytest.fixture
def earlier(tmp_path) -> Path:
    """Return a folder that has a file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    return tmp_path / "a"


@pytest.fixture
def two_renames(monkeypatch):
    """Have folders replaced as where two names cannot be exchanged in one step."""
    monkeypatch.setattr(replacing, "exchanged", lambda one, other: False)


def replace(folder: Path) -> None:
    with files.atomic_folder(folder, replace=True) as draft:
        (draft / "new").touch()


def entries(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system call of Linux")
def test_on_linux_the_name_is_never_without_a_folder(tmp_path, earlier, monkeypatch):
    (tmp_path / "b").mkdir()
    if not replacing.exchanged(earlier, tmp_path / "b"):
        pytest.skip("the file system of temporary folders cannot exchange names")
    assert entries(tmp_path) == ["a", "b", "b/old"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda source, target: pytest.fail("the name is free for a moment"))
        replace(tmp_path / "b")
    assert entries(tmp_path) == ["a", "b", "b/new"]


def test_names_that_cannot_be_exchanged_stay(tmp_path, earlier):
    assert not replacing.exchanged(earlier, tmp_path / "missing")
    assert entries(tmp_path) == ["a", "a/old"]


def test_two_renames_replace_a_folder_too(tmp_path, earlier, two_renames):
    replace(earlier)
    assert entries(tmp_path) == ["a", "a/new"]


@pytest.mark.parametrize("raised", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("renames", [0, 1])
def test_an_error_between_the_renames_leaves_the_earlier_folder(
    tmp_path, earlier, two_renames, monkeypatch, raised, renames
):
    real, left = os.rename, [None] * renames

    def failing(source, target):
        if Path(source).name.endswith(".part") or Path(source) == earlier:
            if not left:
                raise raised
            left.pop()
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(type(raised)):
            replace(earlier)
    assert entries(tmp_path) == ["a", "a/old"]


def test_a_folder_that_cannot_be_put_back_is_not_deleted(tmp_path, earlier, two_renames, monkeypatch):
    real = os.rename

    def failing(source, target):
        if Path(target) == earlier:
            raise OSError("the disk is gone")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            replace(earlier)
    [aside] = tmp_path.iterdir()
    assert entries(aside) == ["a", "a/old"]
    drafts.put_back(aside)
    assert entries(tmp_path) == ["a", "a/old"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("next_step", ["write another", "replace it", "look for weights"])
def test_a_kill_between_the_renames_loses_nothing(tmp_path, next_step):
    """The next writer finds the earlier folder, and so does a reader of a run's weights."""
    recipe = Recipe("entailment", "lora", output_dir=str(tmp_path))
    folder = weights_of(recipe)
    folder.mkdir(parents=True)
    (folder / "old").touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9, killed.stderr
    assert not folder.exists()
    if next_step == "write another":
        files.write_atomically(folder.parent / "another", "")
        (folder.parent / "another").unlink()
    elif next_step == "replace it":
        replace(folder)
    else:
        assert weight_faults(recipe, FakeRecord()) == []
    name = "new" if next_step == "replace it" else "old"
    assert entries(folder.parent) == [folder.name, f"{folder.name}/{name}"]


class FakeRecord:
    """The part of a record that names the files of its weights."""

    weights: dict = {}


@pytest.mark.skipif(os.name == "nt", reason="Windows removes leftovers by their age")
def test_what_was_moved_aside_is_deleted_only_if_the_name_is_taken(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in ("taken", "free"):
        aside = tmp_path / f".{name}.x.earlier.{drafts._host()}-{dead.pid}.part"
        (aside / name).mkdir(parents=True)
        (aside / name / "old").touch()
    (tmp_path / "taken").mkdir()
    files.remove_leftovers(tmp_path)
    assert entries(tmp_path) == ["free", "free/old", "taken"]
