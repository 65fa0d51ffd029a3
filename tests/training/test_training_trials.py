"""Trials: the first steps of a run, through the same loop."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import Trainer

from circpeft import training
from circpeft.training.kinds import instructions


def test_a_trial_of_all_steps_ends_with_the_loss_of_the_run(recipe):
    one_epoch = recipe("c3a", epochs=1, max_train=64)
    run = training.run(one_epoch)
    prepared = training.prepare(one_epoch)
    trial = training.trial(prepared, steps=4)
    assert trial.loss == run.epochs[0]["loss"] != trial.start_loss
    assert [loss for _, loss in trial.losses] == [entry["loss"] for entry in run.losses] and not trial.diverged
    assert training.trial(prepared, steps=4, evaluate_start=False).loss == trial.loss


def test_a_trial_takes_as_many_steps_as_asked_and_writes_nothing(recipe, steps, capsys):
    settings = recipe("lora", epochs=1, max_train=32)
    trial = training.trial(training.prepare(settings), steps=5)
    assert len(steps) == 5 and [step for step, _ in trial.losses] == [1, 2, 3, 4, 5]
    assert not Path(settings.output_dir).exists() and capsys.readouterr().out == ""


def test_a_rate_that_is_far_too_large_diverges_or_ends_worse(recipe):
    prepared = training.prepare(recipe("c3a", max_train=32))
    trial = training.trial(replace(prepared, recipe=recipe("c3a", max_train=32, learning_rate=1e30)), steps=3)
    assert trial.diverged


def test_a_trial_of_instructions_generates_no_answer(instruction, monkeypatch):
    monkeypatch.setattr(instructions, "write_answers", lambda *a, **k: pytest.fail("an answer was generated"))
    monkeypatch.setattr(Trainer, "save_model", lambda *a, **k: pytest.fail("a model was saved"))
    trial = training.trial(training.prepare(instruction("c3a", max_train=16)), steps=6)
    assert trial.loss < trial.start_loss
