"""An interrupted run continues, and ends like an uninterrupted one."""

import json
import re
import time
from pathlib import Path

import pytest
from packaging.version import Version
from transformers import Trainer

from circpeft import training
from circpeft.training.checkpoints import faults, to_resume
from tests.versions import LOADS_OPTIMIZERS


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("method", ["full", "c3a", "cdvft"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(recipe, same_when_resumed, steps, method):
    same_when_resumed(recipe, method)
    assert steps == list(range(6, 18))  # from the end of the first epoch


def test_a_torch_that_cannot_resume_is_named_and_the_checkpoint_stays(recipe, interrupt, monkeypatch):
    interrupted = recipe("head")
    interrupt(interrupted, at_evaluation=2)
    (checkpoint,) = Path(interrupted.output_dir).glob("checkpoints/*/checkpoint-*")
    monkeypatch.setattr(training.exact_trainer, "OLDEST_TO_RESUME", Version("99"))
    with pytest.raises(ValueError, match=f"cannot continue from {re.escape(str(checkpoint))}: .* torch 99 or newer"):
        training.run(interrupted)
    assert not faults(checkpoint)


@LOADS_OPTIMIZERS
def test_the_best_epoch_before_the_interruption_is_kept(recipe, interrupt, monkeypatch, steps):
    scores = iter((0.0, 0.9, 0.2, 0.0, 0.1, 0.9))  # each part of the run starts with an evaluation
    monkeypatch.setattr(training.kinds.classification, "score", lambda prediction, task: {"score": next(scores)})
    interrupted = recipe("c3a")
    interrupt(interrupted, at_evaluation=3)
    result = training.run(interrupted)
    assert (result.best_epoch, result.score, len(steps)) == (1, 0.9, 24)
    assert [row["score"] for row in result.epochs] == [0.9, 0.2, 0.1]


@LOADS_OPTIMIZERS
def test_seconds_include_both_parts_but_not_the_pause(recipe, interrupt, monkeypatch):
    real = Trainer.training_step

    def slow(self, *arguments, **options):
        time.sleep(0.1)
        return real(self, *arguments, **options)

    interrupted = recipe("head")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", slow)
        folder = interrupt(interrupted)
    state = json.loads((Path(to_resume(folder, "run", best=True)) / "trainer_state.json").read_text())
    before = max(entry["clock"] for entry in state["log_history"])
    assert before >= 0.6  # six slow steps
    time.sleep(1)
    started = time.perf_counter()
    result = training.run(interrupted)
    assert before < result.seconds < before + time.perf_counter() - started
