"""Records: written completely or not at all, read back equal, and the errors for damaged ones."""

import dataclasses
import json
import math
import os
import subprocess

import pytest

from circpeft import results
from circpeft.recipes import Recipe
from circpeft.results import Result

RECORD = Result(
    task="entailment",
    method="c3a",
    label="c3a:block_size=64",
    seed=0,
    metric="accuracy",
    score=0.75,
    test_score=0.5,
    start_score=0.5,
    best_epoch=2,
    trainable_parameters=128,
    head_parameters=66,
    seconds=1.5,
    tokens_per_second=2e3,
    flops_per_token=2.5e6,
    base_flops_per_token=2e6,
    peak_bytes=2**20,
    rows={"train": 64, "validation": 32, "test": 32},
    split="test: as published",
    settings={"hyperparameters": {"block_size": 64}, "model": "bert", "target_modules": ["query"]},
    device="CPU",
    versions={"torch": "2"},
    commit="unknown",
    code="abc",
    data="def",
    finished="2026-01-01T00:00:00+00:00",
    epochs=[{"epoch": 1, "score": 0.75, "loss": 0.1}],
    groups={"passive": 0.5},
)


def test_written_and_read_back(tmp_path):
    path = results.write(RECORD, results.path_of("run", tmp_path))
    assert path == tmp_path / "results" / "run.json"
    assert results.read(path) == RECORD
    assert results.read(path).hyperparameters == {"block_size": 64}
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]
    assert json.loads(path.read_text())["schema"] == results.SCHEMA


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_record(tmp_path, monkeypatch, step):
    def full_disk(*arguments):
        raise OSError("no space left")

    path = results.write(RECORD, results.path_of("run", tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full_disk)
        for target in (path, path.with_name("new.json")):
            with pytest.raises(OSError, match="no space left"):
                results.write(dataclasses.replace(RECORD, score=0.0), target)
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]
    assert results.read_all(tmp_path) == [RECORD]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"task": "entail', "is not JSON in UTF-8: EOF while parsing a string"),
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not JSON in UTF-8"),
        (b"[1, 2]", "is not an object of JSON: a list of 2"),
        (b'{"schema": 99}', "has schema 99, expected 3"),
        (b'{"schema": 3, "task": "rte"}', "lacks method, label, seed"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, content, message):
    path = tmp_path / "results" / "run.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"run\.json {message}.*delete it to run again"):
        results.read(path)
    with pytest.raises(ValueError, match=r"run\.json"):
        results.read_all(tmp_path)


@pytest.mark.parametrize("beside", ["/etc/passwd", "../x.json", "a/../../x.json", 3])
def test_a_record_names_no_file_outside_its_folder(tmp_path, beside):
    path = results.write(dataclasses.replace(RECORD, weight_changes=beside), results.path_of("run", tmp_path))
    with pytest.raises(ValueError, match=r"run\.json (names .*outside its folder|has weight_changes = 3)"):
        results.read(path)


def test_a_record_has_no_weights_outside_its_folder(tmp_path):
    weights = {"../other.safetensors": {"bytes": 1, "sha256": "0"}}
    path = results.write(dataclasses.replace(RECORD, weights=weights), results.path_of("run", tmp_path))
    with pytest.raises(ValueError, match=r"run\.json names '\.\./other\.safetensors', outside its folder"):
        results.read(path)


def test_a_record_without_a_score_has_no_rows_of_validation(tmp_path):
    path = results.path_of("run", tmp_path)
    results.write(dataclasses.replace(RECORD, score=None, rows={"train": 8, "test": 8}), path)
    assert results.read(path).score is None
    results.write(dataclasses.replace(RECORD, score=None), path)
    with pytest.raises(ValueError, match=r"run\.json has score = null, but rows of validation; delete it to run again"):
        results.read(path)


def test_fields_of_another_version_are_named(tmp_path):
    path = results.write(RECORD, results.path_of("run", tmp_path))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"carbon": 3}))
    assert results.read_with_unknown(path) == (RECORD, ["carbon"])


def test_the_record_of_a_failed_run(tmp_path):
    where = results.environment("CPU")
    settings = {"task": "rte", "method": "lora", "model": "bert", "seed": 0}
    failure = results.Failure("run", settings, "no memory", "Traceback", finished="2026", **where)
    path = results.write(failure, results.failure_path("run", tmp_path))
    assert path == tmp_path / "failed" / "run.json" and results.read_failure(path) == (failure, [])
    assert results.read_all(tmp_path) == []
    path.write_text(path.read_text().replace("no memory", 3 * "x").replace('"method": "lora",', ""))
    with pytest.raises(ValueError, match=r"run\.json lacks method in settings; delete it; restart the sweep"):
        results.read_failure(path)


def test_records_are_read_in_the_order_of_their_names(tmp_path):
    for seed in (2, 0, 1):
        results.write(dataclasses.replace(RECORD, seed=seed), results.path_of(f"run-{seed}", tmp_path))
    assert [record.seed for record in results.read_all(tmp_path)] == [0, 1, 2]


def test_the_commit_tells_of_changed_files_and_not_of_new_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    assert results.commit() == "unknown"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    assert results.commit() == "unknown"  # nothing is committed yet
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "-q", "-m", "first")
    (tmp_path / "new.py").write_text("")
    assert results.commit() == git("rev-parse", "HEAD")[:12]
    (tmp_path / "a.py").write_text("a = 2\n")
    assert results.commit() == git("rev-parse", "HEAD")[:12] + "+"


def test_a_record_nested_without_end(tmp_path):
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"run\.json is not JSON in UTF-8: recursion limit exceeded"):
        results.read(tmp_path / "run.json")


@pytest.mark.parametrize("task", ["../x", "/tmp/x", "a\\b", "C:x"])
def test_the_task_of_a_run_is_not_a_path(task):
    with pytest.raises(ValueError, match="task must be a name, not a path"):
        Recipe(task, "c3a")


def test_read_all_of_an_empty_folder(tmp_path):
    assert results.read_all(tmp_path) == []


def test_the_environment_is_that_of_this_process():
    import torch

    found = results.environment("a device")
    assert found["device"] == "a device"
    assert set(found["versions"]) == {"python", *results.PACKAGES}
    assert found["versions"]["torch"] == torch.__version__
    assert found["commit"] == "unknown" or len(found["commit"].rstrip("+")) == 12


def test_the_table_has_a_row_for_each_method_with_its_spread():
    changed = {"score": 0.25, "test_score": 0.9, "start_score": 0.1, "seconds": 2.5, "peak_bytes": 2**21}
    other = dataclasses.replace(RECORD, seed=1, **changed)
    full = dataclasses.replace(RECORD, method="full", label="full", trainable_parameters=9)
    wider = dataclasses.replace(RECORD, settings=RECORD.settings | {"target_modules": ["query", "value"]})
    table = results.table([RECORD, other, full, wider])
    assert table["method"].to_list() == ["c3a:block_size=64", "full", "c3a:block_size=64"]
    assert table["adapted layers"].to_list() == ["query", "", "query, value"]
    first = table.iloc[0].to_dict()
    assert (first["seeds"], first["parameters"]) == (2, 128)
    means = (first["before"], first["validation"], first["test"], first["seconds"])
    assert means == pytest.approx((0.3, 0.5, 0.7, 2.0))
    assert (first["test min"], first["test max"], first["peak MiB"]) == (0.5, 0.9, 2.0)


def test_the_table_keeps_runs_that_were_computed_differently_apart():
    gpu = dataclasses.replace(RECORD, seed=1, score=None, computation={"device": "cuda"})
    cpu = dataclasses.replace(RECORD, computation={"device": "cpu"})
    table = results.table([cpu, gpu, dataclasses.replace(cpu, seed=2)])
    assert table["seeds"].to_list() == [2, 1] and table["validation"].to_list()[0] == 0.75
    assert math.isnan(table["validation"].to_list()[1])
    assert all(name.startswith("c3a:block_size=64 (") for name in table["method"]) and table["method"].nunique() == 2
