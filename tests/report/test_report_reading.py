"""The reader of folders of runs: complete, fast, and every unusable file is listed."""

import json
import os
import time

import pytest

from circpeft import files, places, report, results


def test_finds_records_failures_and_sweeps_anywhere_below(folder):
    folder.scored("LoRA", "SST-2", [0.94, 0.95])
    folder.failed("bad", seed=2)
    folder.cell("LoRA", "SST-2", "bad", 2)
    folder.cell("LoRA", "SST-2", "not yet", 3)
    folder.sweep()
    found = report.scan(folder.path.parent)
    assert [run.result.test_score for run in found.runs] == [0.94, 0.95]
    assert [run.failure.error for run in found.failures] == ["OutOfMemoryError: no room"]
    assert [cell.state for cell in found.sweeps[0].cells] == ["finished", "finished", "failed", "pending"]
    assert {run.profile for run in found.runs} == {"paper"} and found.runs[0].tables == ("cdvft-1",)
    assert not found.problems
    assert found.runs[0].path.exists() and found.failures[0].path.exists()
    counted = report.sweeps_table(found).iloc[0]
    assert [counted[state] for state in ("finished", "failed", "pending", "unreadable")] == [2, 1, 1, 0]


def test_the_same_name_in_two_folders_is_two_runs(folder, tmp_path):
    folder.finished("a")
    type(folder)(folder.path.parent / "two").finished("a")
    assert len(report.scan(folder.path.parent).runs) == 2


def test_a_record_overrides_an_older_failure_and_both_are_listed(folder):
    folder.scored("LoRA", "SST-2", [0.9])
    folder.failed(folder.cells[0]["run"])
    folder.sweep()
    found = report.scan(folder.path)
    assert found.sweeps[0].cells[0].state == "finished"
    assert "from another time exists" in report.failures_table(found).remedy[0]


DAMAGED = {
    "half written": (lambda data: json.dumps(data)[:300], "EOF while parsing a string"),
    "empty": (lambda data: "", "is empty"),
    "older": (lambda data: json.dumps(data | {"schema": 2}), "has schema 2, expected 3"),
    "not an object": (lambda data: json.dumps([1, 2]), "is not an object of JSON: a list of 2"),
    "incomplete": (lambda data: json.dumps({k: v for k, v in data.items() if k != "score"}), "lacks score"),
    "diverged": (lambda data: json.dumps(data | {"test_score": float("nan")}), "test_score = nan"),
    "words": (lambda data: json.dumps(data | {"seconds": "long"}), "seconds = 'long', expected a valid number"),
    "flags": (lambda data: json.dumps(data | {"seed": True}), "seed = True"),
    "no model": (lambda data: json.dumps(data | {"settings": {"hyperparameters": {}}}), "lacks model in settings"),
    "null": (lambda data: json.dumps(data | {"score": None}), "score = null, but rows of validation"),
}


def test_a_run_without_validation_has_no_validation_score(folder, record):
    path = folder.finished("all rows")
    path.write_text(json.dumps(record() | {"score": None, "rows": {"train": 9, "test": 9}}))
    found = report.scan(folder.path)
    assert not found.problems and report.runs_table(found).score.isna().all()


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_record_is_listed_with_what_to_do(folder, record, kind):
    folder.finished("good")
    make, reason = DAMAGED[kind]
    bad = results.path_of("bad", folder.path)
    bad.write_text(make(record()))
    folder.cell("LoRA", "SST-2", "bad")
    folder.sweep()
    found = report.scan(folder.path)
    assert [run.name for run in found.runs] == ["good"]
    assert [problem.path for problem in found.problems] == [bad]
    assert reason in found.problems[0].reason and "run again" in found.problems[0].remedy
    assert found.sweeps[0].cells[0].state == "unreadable"
    assert report.problems_table(found).file[0] == os.path.join("results", "bad.json")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"schema": 9}, "has schema 9, expected 1"),
        ({"table": "cdvft-9"}, "unknown table 'cdvft-9'; did you mean"),
        ({"statistic": "mode"}, "statistic = 'mode', expected 'mean' or 'median'"),
        (
            {"cells": [{"row": "LoRA"}]},
            "lacks column, task, printed_task, label, seed, run in cells.0",
        ),
        ({"left_out": ["LoRA"]}, "left_out.0 = 'LoRA', expected "),
    ],
)
def test_a_damaged_sweep_is_listed_and_its_runs_are_read(folder, changes, reason):
    folder.scored("LoRA", "SST-2", [0.9])
    path = folder.sweep()
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    found = report.scan(folder.path)
    assert len(found.runs) == 1 and not found.sweeps
    assert reason in found.problems[0].reason
    newer = changes.get("schema")
    assert ("update circpeft" if newer else "start the sweep again") in found.problems[0].remedy


def test_a_damaged_failure_and_a_damaged_run_file_are_listed(folder):
    folder.finished("good")
    files.write_atomically(results.failure_path("bad", folder.path), "{}")
    (folder.path / "run.json").write_text("[")
    reasons = {problem.path.name: problem.reason for problem in report.scan(folder.path).problems}
    assert set(reasons) == {"bad.json", "run.json"} and "has schema None" in reasons["bad.json"]


def test_a_file_that_is_being_written_is_not_a_problem(folder):
    folder.finished("good")
    (folder.path / "results" / ".later.json.x1").write_text("{")
    assert not report.scan(folder.path).problems


def test_the_profile_of_a_course_run(folder):
    folder.finished("a")
    run = {"profile": "cpu", "parameters": {}, "sources": [], "status": "finished", "notebooks": []}
    (folder.path / "run.json").write_text(json.dumps(run | {"started": "2026-01-02T03:04:05+00:00"}))
    assert report.scan(folder.path).runs[0].profile == "cpu"


def test_a_missing_folder_raises(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(FileNotFoundError, match="did you mean 'runs'"):
        report.scan(tmp_path / "run")


def test_the_default_folder_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "outputs", lambda: tmp_path / "runs")
    assert report.scan() == report.Found(tmp_path / "runs")


def test_two_thousand_records_are_read_tabled_and_drawn_in_a_few_times_the_time_of_parsing_them(folder, record):
    text = json.dumps(record(long=400, rank=400, label="LABEL:r=8", seed=1234567), indent=1)
    labels = ["lora:r=8", "vera:r=1024", "c3a:block_size=768", "cdvft:block_size=768"]
    for number in range(2_000):
        row, seed = number % 4, number // 4
        record_text = text.replace("LABEL:r=8", labels[row]).replace("1234567", str(seed))
        (path := results.path_of(f"run-{number}", folder.path)).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record_text)
        folder.cell("LoRA", "SST-2", f"run-{number}", seed, label=labels[row])
    folder.sweep()
    assert 50_000 < len(record_text) < 65_000
    started = time.process_time()  # only of this process: the machine may be busy with others
    for number in range(0, 2_000, 4):
        json.loads(results.path_of(f"run-{number}", folder.path).read_text())
    parsing = 4 * (time.process_time() - started)
    started = time.process_time()
    found = report.scan(folder.path)
    table = report.runs_table(found)
    report.wide(report.compared(found, "cdvft-1"))
    figures = [figure for x in report.AXES for figure in report.scatter(found, x)] + report.spectra(found)
    seconds = time.process_time() - started
    print(f"{len(table)} records of {len(record_text) / 1e3:.0f} kB: {seconds:.1f} s, {parsing:.1f} s of parsing")
    assert len(table) == 2_000 and len(figures) == 6
    assert seconds < 10 * parsing
