"""The folder of the course: complete, updated without touching what the user changed, and never half written."""

import errno
import shutil

import pytest

from circpeft import cli, files, places
from circpeft.course import folder
from circpeft.course.parameters import RequestError

FILES = {"notebooks/00_a.ipynb": "[x](../circpeft/suggest.py)", "data/t/train.jsonl": "rows", "README.md": "read"}


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The files of a package that is installed, small ones, in a folder; the working directory is an empty one."""
    root = tmp_path / "package"
    for name, text in FILES.items():
        files.write_atomically(root / name, text)
    monkeypatch.setattr(places, "clone", lambda: None)
    monkeypatch.setattr(places, "shipped", lambda: root)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return root


def contents(target):
    return {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}


def test_in_a_clone_the_folder_is_the_clone():
    assert folder.prepare() == (places.clone(), [])


def test_a_new_folder_has_every_file_and_the_modules_that_the_notebooks_show(shipped, tmp_path):
    target, done = folder.prepare()
    assert target == tmp_path / "work" / "circpeft-course" and done == [f"The course is now in {target}."]
    found = contents(target)
    assert found.pop(places.MANIFEST) and "def nearest" in found.pop("circpeft/suggest.py")
    assert found == FILES
    assert folder.prepare() == (target, []), "a second call changes nothing"
    assert target.stat().st_mode & 0o777 == (target / "notebooks").stat().st_mode & 0o777, "others may read it"


def test_the_folder_above_the_working_directory_is_found(shipped, monkeypatch):
    target, _ = folder.prepare()
    monkeypatch.chdir(target / "notebooks")
    assert folder.prepare()[0] == target


def test_an_update_replaces_what_the_user_did_not_change(shipped):
    target, _ = folder.prepare()
    (shipped / "README.md").write_text("new")
    (target / "data/t/train.jsonl").unlink()
    _, done = folder.prepare()
    assert done == [f"2 files in {target} updated."]
    assert (target / "README.md").read_text() == "new" and (target / "data/t/train.jsonl").read_text() == "rows"


def test_a_changed_file_stays_and_the_new_version_is_put_beside_it_once(shipped):
    target, _ = folder.prepare()
    mine, beside = target / "notebooks/00_a.ipynb", target / "notebooks/new_00_a.ipynb"
    mine.write_text("mine")
    assert folder.prepare()[1] == [] and not beside.exists(), "without a newer version nothing is offered"
    (shipped / "notebooks/00_a.ipynb").write_text("v2")
    assert folder.prepare()[1] == [
        "You have changed notebooks/00_a.ipynb; the new version is beside it, as new_00_a.ipynb."
    ]
    assert (mine.read_text(), beside.read_text()) == ("mine", "v2")
    assert folder.prepare()[1] == []
    (shipped / "notebooks/00_a.ipynb").write_text("v3")
    folder.prepare()
    assert (mine.read_text(), beside.read_text()) == ("mine", "v3"), "an unchanged offer is replaced"
    beside.write_text("also mine")
    (shipped / "notebooks/00_a.ipynb").write_text("v4")
    folder.prepare()
    third = target / "notebooks/new2_00_a.ipynb"
    assert [path.read_text() for path in (mine, beside, third)] == ["mine", "also mine", "v4"]


def test_a_damaged_manifest_counts_every_file_as_changed(shipped):
    target, _ = folder.prepare()
    (target / places.MANIFEST).write_text("{")
    (shipped / "README.md").write_text("new")
    folder.prepare()
    assert (target / "README.md").read_text() == "read" and (target / "new_README.md").read_text() == "new"


def test_a_folder_with_other_content_is_refused(shipped, tmp_path, capsys):
    (tmp_path / "work" / "circpeft-course").mkdir()
    (tmp_path / "work" / "circpeft-course" / "thesis.tex").write_text("mine")
    assert cli.main(["lab"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "exists and is not a folder of the course" in error and "--folder" in error
    assert [path.name for path in (tmp_path / "work" / "circpeft-course").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_full_disk_leaves_nothing(shipped, tmp_path, monkeypatch, exists):
    target = tmp_path / "chosen"
    if exists:
        target.mkdir()
    copy, copied = shutil.copyfile, []

    def full(source, destination):
        copied.append(destination)
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(source, destination)

    monkeypatch.setattr(folder.shutil, "copyfile", full)
    with pytest.raises(RequestError, match="cannot write the course into '.*chosen': No space left on device; choose"):
        folder.prepare(target)
    assert target.exists() == exists and not (exists and any(target.iterdir()))


def test_a_copy_that_is_killed_is_completed(shipped, tmp_path, monkeypatch):
    """Into an empty folder the entries are moved one by one, and the manifest is the first of them."""
    target, real = tmp_path / "chosen", folder.Path.rename
    target.mkdir()

    def killed(path, other):
        if len([entry for entry in target.iterdir() if not entry.name.endswith(".part")]) == 2:
            raise KeyboardInterrupt
        return real(path, other)

    with monkeypatch.context() as patch:
        patch.setattr(folder.Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.prepare(target)
    assert (target / places.MANIFEST).is_file() and not set(FILES) <= set(contents(target))
    folder.prepare(target)
    assert set(FILES) <= set(contents(target)) and not list(target.glob("*.part"))


def test_a_full_disk_during_an_update_leaves_whole_files_and_the_next_update_continues(shipped, monkeypatch):
    target, _ = folder.prepare()
    for name in FILES:
        (shipped / name).write_text("new")
    write, written = files.write_atomically, []

    def full(path, content):
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(folder.files, "write_atomically", full)
    with pytest.raises(RequestError, match="No space left"):
        folder.prepare()
    found = contents(target)
    assert sum(found[name] == "new" for name in FILES) == 1, "one file was written, in full"
    assert all(found[name] in ("new", text) for name, text in FILES.items())
    monkeypatch.setattr(folder.files, "write_atomically", write)
    folder.prepare()
    assert {contents(target)[name] for name in FILES} == {"new"}


def test_a_file_in_the_way_is_one_line(shipped, tmp_path):
    (tmp_path / "work" / "file").write_text("")
    with pytest.raises(RequestError, match="cannot write the course into '.*file/below': Not a directory"):
        folder.prepare("file/below")
    with pytest.raises(RequestError, match="exists and is not a folder of the course"):
        folder.prepare("file")
