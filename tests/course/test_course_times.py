"""The run-time lines in the notebooks agree with the record of measured times."""

import nbformat
import pytest

from circpeft.course import times
from circpeft.course.parameters import repository

NOTEBOOKS = sorted((repository() / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_time_line_comes_from_the_record(path):
    title = nbformat.read(path, as_version=4).cells[0].source
    lines = [text for text in title.split("\n") if times.MARKER in text]
    assert lines == [times.line(path.stem)]
    assert "smoke" in lines[0] and "cpu" in lines[0], "both profiles have to be measured"


def test_table_has_one_row_per_notebook():
    assert set(times.table().index) == {path.stem for path in NOTEBOOKS}


def test_times_of_an_unfinished_run_are_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "failed", "notebooks": []}')
    with pytest.raises(ValueError, match="failed"):
        times.update(tmp_path)
