"""The three stages of a run, each by itself: prepare, train, record."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import Trainer, TrainerCallback

from circpeft import models, results, tasks, training


def test_prepare_loads_all_but_the_weights_and_writes_nothing(recipe, monkeypatch):
    for name in ("from_pretrained", "from_config"):
        original = getattr(training.KINDS["text"].model_class, name)
        devices = []

        def watched(*arguments, original=original, devices=devices, **options):
            devices.append(torch.empty(0).device.type)
            return original(*arguments, **options)

        monkeypatch.setattr(training.KINDS["text"].model_class, name, watched)
    made = recipe("c3a", max_eval=8)
    prepared = training.prepare(made)
    assert devices == ["meta"]  # the method was tried without weights
    assert prepared.recipe is made and prepared.task == tasks.get("sst2") and prepared.kind is training.KINDS["text"]
    assert {split: len(rows) for split, rows in prepared.encoded.items()} == {"train": 96, "validation": 8, "test": 8}
    assert set(prepared.encoded["train"].column_names) >= {"input_ids", "attention_mask", "labels"}
    assert prepared.rows.fingerprint == training.data_of(made).fingerprint
    assert prepared.rows.split == "test: as published" and prepared.code == results.code_version()
    assert prepared.config.num_labels == 2 and prepared.folder == models.resolve(made.model)
    assert prepared.processor.pad_token == "[PAD]"
    assert prepared.checkpoints == prepared.checkpoint_folders[0] != prepared.checkpoint_folders[1]
    assert made.name in prepared.checkpoints.name and prepared.rows.fingerprint in prepared.checkpoints.name
    assert not Path(made.output_dir).exists()
    with pytest.raises(dataclasses.FrozenInstanceError):
        prepared.code = "other"


def test_rows_at_hand_are_not_read_again(recipe, monkeypatch):
    rows = training.data_of(recipe())
    monkeypatch.setattr(tasks, "load", lambda *arguments: pytest.fail("data was read"))
    assert training.prepare(recipe(), rows).rows is rows


def test_check_reads_each_data_set_once_and_no_weights(recipe, monkeypatch):
    read, load = [], tasks.load
    monkeypatch.setattr(tasks, "load", lambda *arguments: read.append(arguments) or load(*arguments))
    monkeypatch.setattr(
        training.KINDS["text"].model_class, "from_pretrained", lambda *a, **o: pytest.fail("weights were loaded")
    )
    training.check([recipe(method) for method in ("c3a", "lora", "head")])
    assert len(read) == 1


def test_train_returns_the_best_epoch_and_writes_no_record(recipe):
    class Epochs(TrainerCallback):
        ended = 0

        def on_epoch_end(self, args, state, control, **kwargs):
            self.ended += 1

    epochs, prepared = Epochs(), training.prepare(recipe("c3a", epochs=3))
    trained = training.train(prepared, [epochs])
    assert epochs.ended == 3 and isinstance(trained.trainer, Trainer)
    assert trained.test.predictions.shape == (32, 2)
    right = trained.test.predictions.argmax(-1) == trained.test.label_ids
    assert trained.test.metrics["test_score"] == pytest.approx(right.mean()) and right.mean() >= 0.5
    assert trained.baseline.score <= 0.8 and len(trained.baseline.predictions) == 20
    assert trained.head_parameters == 2 * 32 + 2 and trained.trainable_parameters > 0
    assert len(trained.initial_weights) == 2 and 0 < trained.step_seconds < trained.seconds
    assert list(prepared.checkpoints.glob("checkpoint-*"))
    folder = Path(prepared.recipe.output_dir)
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]


def test_record_writes_what_was_trained_and_removes_the_checkpoints(recipe):
    made = recipe("c3a", epochs=2)
    prepared = training.prepare(made)
    trained = training.train(prepared)
    result = training.record(prepared, trained)
    assert results.read(results.path_of(made.name, made.output_dir)) == result
    assert result.test_score == trained.test.metrics["test_score"] and result.start_score == trained.baseline.score
    assert result.data == prepared.rows.fingerprint and len(result.spectra) == 2
    assert (training.weights_of(made) / "adapter_model.safetensors").exists()
    assert not prepared.checkpoints.exists()
    assert training.recorded(made, prepared.rows.fingerprint) == result == training.run(made)
    assert training.recorded(made, "other rows") is None


def test_run_is_the_three_in_order(recipe, monkeypatch):
    made, stages = recipe(), []
    prepared = SimpleNamespace(recipe=made, rows=SimpleNamespace(fingerprint="of the rows"))
    trained, result = object(), object()
    pipeline = training.pipeline
    monkeypatch.setattr(pipeline, "prepare", lambda *given: stages.append(given[0]) or prepared)
    monkeypatch.setattr(pipeline, "train", lambda *given: stages.append(given) or trained)
    monkeypatch.setattr(pipeline, "record", lambda *given: stages.append(given) or result)
    assert training.run(made, ("callback",)) is result
    assert stages == [made, (prepared, ("callback",)), (prepared, trained)]
