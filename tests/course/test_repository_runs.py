"""Notebook 12 starts with the runs that the repository keeps on record."""

import json

import pytest

from circpeft import report
from circpeft.course import repository_runs


def test_every_record_is_read_and_the_table_of_counts_covers_all():
    found = repository_runs.read()
    lists = [json.loads((repository_runs.FOLDER / name).read_text(encoding="utf-8")) for name in repository_runs.LISTS]
    files = list((repository_runs.FOLDER / repository_runs.SINGLE).glob("*.json"))
    assert len(found.runs) == sum(map(len, lists)) + len(files) > 200
    summary = repository_runs.summary(found)
    assert summary.runs.sum() == len(found.runs) and set(summary.source) == {"repository"}
    assert {"entailment", "digits", "word_problems", "mrpc"} <= set(summary.task)
    assert f"{len(found.runs)} runs of {summary.task.nunique()} tasks" in repository_runs.described(found)
    for x in report.AXES:  # facts that a record lacks leave no point, and no error
        assert report.scatter(found, x)


def test_a_folder_without_records_gives_a_line_and_no_error(tmp_path):
    found = repository_runs.read(tmp_path)
    assert found.runs == () and "only your runs are shown" in repository_runs.described(found)
    assert len(repository_runs.summary(repository_runs.beside(report.empty(tmp_path), found))) == 0


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "digits.json").write_text('[{"task": "digits"}]')
    with pytest.raises(ValueError, match=r"digits\.json is not a record of runs"):
        repository_runs.read(tmp_path)
