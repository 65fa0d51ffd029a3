"""Runs that test their last epoch, and runs that train on every row because nothing is chosen on validation."""

import json

import pytest
import torch

from circpeft import results, training
from circpeft.cli.train import _print_result
from tests.versions import LOADS_OPTIMIZERS


@pytest.fixture
def no_validation(tmp_path, data_dir):
    """Return a data folder with train and test only."""
    folder = tmp_path / "two"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_bytes((tmp_path.parent / data_dir / f"{split}.jsonl").read_bytes())
    return str(folder)


def test_the_last_epoch_is_tested(recipe, monkeypatch):
    """Scores are fixed so that the first epoch is the best. The test must give the last epoch's logits."""
    logits, scores = [], iter((0.0, 0.9, 0.1, 0.4))  # before training, two epochs, test

    def by_hand(prediction, task):
        logits.append(torch.as_tensor(prediction.predictions))
        return {"score": next(scores)}

    monkeypatch.setattr(training.kinds.classification, "score", by_hand)
    result = training.run(recipe("c3a", epochs=2, tested_epoch="last"))
    assert (result.best_epoch, result.score, result.test_score) == (2, 0.1, 0.4)
    _, first, last, tested = logits
    assert torch.equal(tested, last) and not torch.allclose(first, last, atol=1e-3)
    assert result.settings["tested_epoch"] == "last"


@LOADS_OPTIMIZERS
def test_a_resumed_run_tests_its_last_epoch(same_when_resumed, recipe):
    whole = same_when_resumed(recipe, "c3a", epochs=3, tested_epoch="last")
    assert whole.best_epoch == 3 and whole.score == whole.epochs[-1]["score"]


def test_without_validation_every_training_row_is_trained_on(recipe, no_validation, steps, capsys):
    made = recipe("c3a", data_dir=no_validation, tested_epoch="last", hold_out=False, epochs=2)
    result = training.run(made)
    assert result.rows == {"train": 96, "test": 32} and len(steps) == 2 * 6
    assert (result.score, result.epochs, result.best_epoch) == (None, [], 2)
    assert result.split == "test: as published; no validation: all other rows are trained on"
    assert results.read(results.path_of(made.name, made.output_dir)) == result
    assert json.loads(json.dumps(results.table([result])["test"].tolist())) == [result.test_score]
    _print_result(made, result, as_json=False)
    assert f"seed 0: test accuracy {result.test_score:.3f}, " in capsys.readouterr().out
    held_out = training.data_of(recipe("c3a", data_dir=no_validation))
    assert {split: len(rows) for split, rows in held_out.data.items()} == {"train": 87, "validation": 9, "test": 32}


def test_the_best_epoch_needs_a_validation_split(recipe, no_validation):
    made = recipe("c3a", data_dir=no_validation, hold_out=False)
    message = (
        "tested_epoch='best' is chosen on validation, and task 'sst2' has no validation split with hold_out=False; "
        "set hold_out=True, or tested_epoch='last'"
    )
    for refused in (lambda: training.check([made]), lambda: training.data_of(made)):
        with pytest.raises(ValueError, match=message):
            refused()


def test_a_trial_needs_a_validation_split(recipe, no_validation):
    made = recipe("c3a", data_dir=no_validation, tested_epoch="last", hold_out=False)
    with pytest.raises(ValueError, match="a trial is scored on validation, and task 'sst2' has no validation split"):
        training.trial(training.prepare(made), 1)
