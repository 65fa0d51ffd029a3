"""A record has its weights: they are on the disk before it, and damage to them is noticed when it is read."""

import json
import os
import shutil
import warnings
from pathlib import Path

import pytest

from circpeft import results, training
from circpeft.cli import main
from circpeft.sweeps import record as sweep_record
from tests.versions import LOADS_OPTIMIZERS


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
@pytest.mark.parametrize("method", ["c3a", "head"])
def test_the_weights_then_the_record_then_the_checkpoints(recipe, monkeypatch, method):
    made = recipe(method, epochs=1)
    prepared = training.prepare(made)
    trained = training.train(prepared)
    calls, fsync, rmtree = [], os.fsync, shutil.rmtree

    def watched(name):
        call = getattr(os, name)

        def record(source, target):
            call(source, target)
            calls.append(("named", Path(target)))

        return record

    def synced(handle):
        calls.append(("synced", Path(os.readlink(f"/proc/self/fd/{handle}"))))
        fsync(handle)

    def removed(path, **options):
        calls.append(("removed", Path(path)))
        rmtree(path, **options)

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, watched(name))
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(shutil, "rmtree", removed)
    training.record(prepared, trained)
    weights, path = training.weights_of(made), results.path_of(made.name, made.output_dir)
    stages = [("named", weights), ("synced", weights.parent), ("named", path), ("synced", path.parent)]
    stages.append(("removed", prepared.checkpoints))
    places = [calls.index(stage) for stage in stages]
    assert places == sorted(places)
    before = {place.name for call, place in calls[: places[0]] if call == "synced"}
    assert before >= {file.name for file in weights.iterdir()}, "each file is synced before the folder has its name"


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_weights_that_cannot_be_written_leave_no_record_and_the_next_run_needs_no_training(
    recipe, monkeypatch, steps, error
):
    made = recipe(epochs=1)

    def failing(*args, **kwargs):
        Path(args[1]).write_bytes(b"half")
        raise error

    def after_training(prepared, trained):
        with monkeypatch.context() as patch:
            patch.setattr("peft.peft_model.safe_save_file", failing)
            return training.recording.record(prepared, trained)

    prepared = training.prepare(made)
    with pytest.raises(type(error)):
        after_training(prepared, training.train(prepared))
    assert not results.path_of(made.name, made.output_dir).exists() and not training.weights_of(made).exists()
    assert not list((Path(made.output_dir) / "adapters").iterdir())
    del steps[:]
    result = training.run(made)
    assert steps == [] and result.weights and training.saving.weight_faults(made, result) == []


def test_a_record_with_damaged_weights_is_not_believed(recipe, steps):
    made = recipe("head", epochs=1)
    first = training.run(made)
    folder = training.weights_of(made)
    assert set(first.weights) == {file.name for file in folder.iterdir()}
    (folder / "config.json").write_text((folder / "config.json").read_text()[:30])
    del steps[:]
    with pytest.warns(UserWarning, match=r"is trained again: in .*models.*, config\.json has 30 bytes instead of"):
        again = training.run(made)
    assert len(steps) == 6 and again.weights == first.weights and training.saving.weight_faults(made, again) == []
    (folder / "model.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"model\.safetensors is missing"):
        assert training.recorded(made, again.data) is None


def test_a_record_without_its_weights_says_so(recipe, steps):
    """Somebody may have deleted them, or left them on another machine, so the run is not repeated."""
    made = recipe(epochs=1)
    first = training.run(made)
    folder = training.weights_of(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (folder / "README.md").write_text("my own words")
        (folder / "notes.txt").touch()
        assert training.run(made) == first
    shutil.rmtree(folder)
    del steps[:]
    with pytest.warns(UserWarning, match=r"the weights of .* are not at .*; to train it again, delete its record, "):
        assert training.run(made) == first
    assert steps == []
    # As from a cluster's node that keeps the weights.
    text = results.path_of(made.name, made.output_dir).read_text()
    path = sweep_record.write_result(made, text)
    assert json.loads(path.read_text()) == {**json.loads(text), "weights": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert training.run(made).weights == {}


def test_an_earlier_adapter_under_the_name_is_replaced_whole(recipe):
    made = recipe(epochs=1)
    stale = training.weights_of(made) / "stale.safetensors"
    stale.parent.mkdir(parents=True)
    stale.touch()
    training.run(made)
    assert not stale.exists() and (stale.parent / "adapter_model.safetensors").exists()


@LOADS_OPTIMIZERS
def test_a_full_disk_ends_the_command_with_one_line_and_the_next_one_continues(
    tiny_model, data_dir, tmp_path, capsys, monkeypatch, steps
):
    """The disk is full from the second checkpoint on, in PyTorch's words."""
    settings = {"model": tiny_model, "epochs": 3, "batch_size": 16, "learning_rate": 3e-2, "target_modules": "query"}
    command = [
        "train",
        "c3a",
        "--task",
        "sst2",
        "--data-dir",
        data_dir,
        "--output-dir",
        str(tmp_path / "out"),
        "--quiet",
    ]
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    save = training.exact_trainer.ExactTrainer._save_optimizer_and_scheduler

    def full(self, folder):
        if self.state.global_step == 12:
            Path(folder, "optimizer.pt").write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
        save(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(training.exact_trainer.ExactTrainer, "_save_optimizer_and_scheduler", full)
        assert main(command) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1 and lines[0].startswith("circpeft train: error: no room for '")
    assert "checkpoint-12'" in lines[0] and not (tmp_path / "out" / "results").exists()
    del steps[:]
    assert main(command) == 0 and steps == list(range(6, 18))
