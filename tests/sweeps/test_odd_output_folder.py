"""A sweep in a folder with odd files: it replaces or passes over them, or says in one line what is in the way."""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from circpeft import recipes, results
from circpeft.sweeps import SweepError, pending, record

STEP = SimpleNamespace(is_world_process_zero=True, global_step=5, max_steps=10)


@pytest.fixture
def recipe(tmp_path):
    return recipes.Recipe("entailment", "head", output_dir=str(tmp_path))


PROGRESS = [
    "",
    "{",
    "[" * 100_000,
    '{"step": "x", "of": 1}',
    '{"step": NaN, "of": 1}',
    '{"step": 1}',
    '{"of": 2}',
    "\x00",
]


@pytest.mark.parametrize("text", PROGRESS)
def test_a_file_of_progress_that_cannot_be_read_is_no_progress(recipe, text):
    path = record.progress_path(recipe)
    path.parent.mkdir()
    path.write_text(text)
    assert record.fraction_done(recipe) == 0.0
    path.write_text('{"step": 1, "of": 4, "newer": 1}')
    assert record.fraction_done(recipe) == 0.25


def test_a_folder_in_its_place_stops_no_run(recipe):
    record.progress_path(recipe).mkdir(parents=True)
    assert record.fraction_done(recipe) == 0.0
    progress = record.ProgressFile(recipe, every=0.0)
    with pytest.warns(UserWarning, match="the progress of the run cannot be written"):
        progress.on_step_end(None, STEP, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns once
        progress.on_step_end(None, STEP, None)
    progress.remove()
    record.forget_failure(recipe)


@pytest.mark.parametrize("odd", ["nested", "folder"])
def test_an_odd_record_is_moved_away_and_its_run_is_made_again(recipe, odd, capsys):
    path = results.path_of(recipe.name, recipe.output_dir)
    path.parent.mkdir()
    path.mkdir() if odd == "folder" else path.write_text("[" * 100_000)
    assert pending.not_on_record([recipe]) == ([recipe], [])
    assert not path.exists() and len(list((Path(recipe.output_dir) / "unreadable").iterdir())) == 1
    assert "it runs again" in capsys.readouterr().err


def test_a_damaged_plan_is_replaced_and_named(tmp_path, capsys):
    plan = recipes.plan_table("cdvft-1", "smoke", output_dir=tmp_path, seeds=1)
    path = record.write_plan(plan, tmp_path)
    good = json.loads(path.read_text())
    for text in ("[" * 100_000, json.dumps(good | {"cells": [3]}), path.read_text()[:99]):
        path.write_text(text)
        assert len(json.loads(record.write_plan(plan, tmp_path).read_text())["cells"]) == len(good["cells"])
        lines = capsys.readouterr().err
        assert str(path) in lines and "it is replaced" in lines
    path.unlink()
    path.mkdir()
    with pytest.raises(SweepError, match="is a folder, and the plan of the sweep belongs there"):
        record.write_plan(plan, tmp_path)


@pytest.mark.parametrize("name", ["failed", "sweeps", "unreadable"])
def test_a_file_in_the_place_of_a_folder_is_named_before_anything_runs(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(SweepError, match=f"cannot write in .*{name} is not a folder; give another output folder"):
        with record.hold(tmp_path):
            raise AssertionError("it is held")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_in_the_place_of_a_failure_record_is_moved_away(recipe):
    path = results.failure_path(recipe.name, recipe.output_dir)
    path.mkdir(parents=True)
    assert record.write_failure(recipe, "an error", "", "cpu") == path and path.is_file()
    assert len(list((Path(recipe.output_dir) / "unreadable").iterdir())) == 1


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"a = " + b"9" * 9_999, b"\xff", b"a = "])
def test_a_sweep_file_that_is_not_toml_is_named(tmp_path, text):
    (tmp_path / "mine.toml").write_bytes(text)
    with pytest.raises(ValueError, match=r"mine\.toml is not TOML"):
        recipes.plan_file(tmp_path / "mine.toml")


def test_a_method_nested_without_end_is_a_word():
    assert recipes.parsing.hyperparameter("[" * 10_000) == "[" * 10_000
