"""The run-time lines in the notebooks agree with the record of measured times."""

import json

import nbformat
import pytest

from circpeft import places
from circpeft.course import times

NOTEBOOKS = sorted((places.clone() / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_time_line_comes_from_the_record(path):
    title = nbformat.read(path, as_version=4).cells[0].source
    lines = [text for text in title.split("\n") if times.MARKER in text]
    assert lines == [times.line(path.stem)]
    assert "smoke" in lines[0] and "cpu" in lines[0], "both profiles have to be measured"


def test_table_has_one_row_per_notebook():
    assert set(times.table().index) == {path.stem for path in NOTEBOOKS}


def test_times_of_an_unfinished_run_are_refused(tmp_path):
    started = "2026-01-02T03:04:05+00:00"
    run = {"profile": "cpu", "parameters": {}, "sources": [], "started": started, "status": "failed", "notebooks": []}
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match="failed"):
        times.update(tmp_path)


DATES = {name: f"2026-01-0{day}T03:04:05+00:00" for day, name in enumerate(("old", "new", "newest"), 1)}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Return a function that writes a run of some of two notebooks, 00_a and 01_b, and records its times."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    for name in ("00_a", "01_b"):
        title = nbformat.v4.new_markdown_cell(f"# {name}\n\n{times.MARKER}")
        nbformat.write(nbformat.v4.new_notebook(cells=[title]), tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(places, "clone", lambda: tmp_path)

    def record(seconds, commit, device="CPU, 2 threads"):
        entries = [
            {"name": name, "status": "ok", "digest": "", "seconds": value}
            | {"device": device, "versions": {}, "commit": commit}
            for name, value in seconds.items()
        ]
        run = {"status": "finished", "profile": "smoke", "parameters": {}, "sources": list(seconds)}
        run |= {"started": DATES["old"], "finished": DATES[commit], "notebooks": entries}
        (tmp_path / "run.json").write_text(json.dumps(run))
        for name in seconds:  # the executed notebook has the runner's parameters, too
            executed = nbformat.read(tmp_path / "notebooks" / f"{name}.ipynb", 4)
            given = nbformat.v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["injected-parameters"]})
            nbformat.write(nbformat.v4.new_notebook(cells=[given, *executed.cells]), tmp_path / f"{name}.ipynb")
        times.update(tmp_path)
        titles = [nbformat.read(tmp_path / "notebooks" / f"{n}.ipynb", 4).cells[0].source for n in ("00_a", "01_b")]
        return times.read()["smoke"], titles

    return record


def test_a_run_of_some_notebooks_replaces_only_their_times(course):
    first, _ = course({"00_a": 5.0, "01_b": 7.0}, "old")
    assert first["seconds"] == {"00_a": 5.0, "01_b": 7.0} and "later" not in first
    second, titles = course({"01_b": 9.0}, "new")
    assert second["seconds"] == {"00_a": 5.0, "01_b": 9.0} and second["commit"] == "old"
    assert second["later"] == {"01_b": {"commit": "new", "finished": DATES["new"]}}
    assert "smoke 5 s" in titles[0] and "smoke 9 s" in titles[1]
    whole, _ = course({"00_a": 6.0, "01_b": 8.0}, "newest")
    assert whole["commit"] == "newest" and "later" not in whole


def test_a_notebook_is_outdated_after_its_code_has_changed(course, tmp_path):
    course({"00_a": 5.0, "01_b": 7.0}, "old")
    assert times.outdated() == {"smoke": []}
    path = tmp_path / "notebooks" / "01_b.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[0].source += " Only a text."
    nbformat.write(notebook, path)
    assert times.outdated() == {"smoke": []}
    notebook.cells.append(nbformat.v4.new_code_cell("import time"))
    nbformat.write(notebook, path)
    assert times.outdated() == {"smoke": ["01_b"]}
    course({"01_b": 9.0}, "new")
    assert times.outdated() == {"smoke": []}


def test_times_of_another_device_are_not_mixed_in(course):
    course({"00_a": 5.0, "01_b": 7.0}, "old")
    with pytest.raises(ValueError, match="is on CPU, 1 threads, and the other times are on CPU, 2 threads"):
        course({"01_b": 9.0}, "new", device="CPU, 1 threads")
