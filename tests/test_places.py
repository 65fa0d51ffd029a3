"""Where notebooks, data and outputs are: in a clone, in an installed package, and in the folder of the course."""

import pytest

from circpeft import places


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed package, empty, and a working directory beside it."""
    monkeypatch.setattr(places, "PACKAGE", tmp_path / "site-packages" / "circpeft")
    (tmp_path / "work" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_in_a_clone_everything_is_in_the_clone_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = places.clone()
    assert (root / "circpeft" / "places.py").is_file() and (root / "CHANGELOG.md").is_file()
    assert places.shipped() == places.course_folder() == root and places.outputs() == root / "runs"


def test_an_installed_package_reads_its_own_files_and_writes_into_the_working_directory(installed):
    assert places.clone() is None and places.course_folder() is None
    assert places.shipped() == places.PACKAGE / "course_files"
    assert places.outputs() == installed / "runs"


def test_in_the_folder_of_the_course_outputs_are_in_that_folder(installed, monkeypatch):
    (installed / places.MANIFEST).write_text("{}")
    monkeypatch.chdir(installed / "below")
    assert places.outputs() == installed / "runs" and places.course_folder() == installed


def test_beside_the_folder_of_the_course_outputs_are_in_the_working_directory(installed):
    (installed / places.COURSE).mkdir()
    assert places.course_folder() is None, "a folder of that name which circpeft did not make"
    (installed / places.COURSE / places.MANIFEST).write_text("{}")
    assert places.course_folder() == installed / places.COURSE and places.outputs() == installed / "runs"


def test_the_files_of_the_course_are_those_that_git_has():
    names = set(places.course_files())
    assert {"notebooks/00_start.ipynb", "data/small_vit/model.safetensors", "docs/index.md", "README.md"} <= names
    assert not [name for name in names if name.endswith((".py", ".pyc")) or "checkpoint" in name]
