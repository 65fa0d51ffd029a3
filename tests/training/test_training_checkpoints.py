"""A damaged checkpoint is noticed and named, and the run ends like one whose checkpoints are whole."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerState

from circpeft import results, training
from circpeft.training import checkpoints, digests, distributed
from tests.versions import LOADS_OPTIMIZERS

OUTCOME = "losses epochs score test_score start_score best_epoch spectra predictions groups".split()
made: dict[str, Path | results.Result] = {}  # of the two runs that all tests start from


@pytest.fixture
def undisturbed(recipe, tmp_path_factory) -> results.Result:
    """Return the record of a run of three epochs, 18 steps, that nothing interrupts."""
    if "whole" not in made:
        made["whole"] = training.run(recipe(output_dir=str(tmp_path_factory.mktemp("whole"))))
    return made["whole"]


@pytest.fixture
def stopped(recipe, interrupt, tmp_path_factory) -> Path:
    """Return the folder of checkpoints of such a run, interrupted after checkpoint-6 and checkpoint-12."""
    if "stopped" not in made:
        made["stopped"] = tmp_path_factory.mktemp("stopped")
        interrupt(recipe(output_dir=str(made["stopped"])), at_evaluation=3)
    shutil.copytree(made["stopped"], recipe().output_dir)
    [folder] = (Path(recipe().output_dir) / "checkpoints").iterdir()
    return folder


def lines_of(run: Callable) -> tuple[object, list[str]]:
    """Return what a function returns, and the warnings on checkpoints."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = run()
    found = [str(entry.message) for entry in caught if entry.category is UserWarning]
    return value, [line for line in found if "checkpoint" in line]


def damage(path: Path, how: str) -> str:
    """Damage a file, and return a pattern of what is said about it."""
    name, content = re.escape(path.name), path.read_bytes()
    if how == "missing":
        path.unlink()
        return f"{name} is missing"
    if how == "empty":
        path.write_bytes(b"")
        return f"{name} is empty"
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
        return f"{name} has [0-9,]+ bytes instead of [0-9,]+"
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return f"{name} is not as it was written"


FILES = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "adapter_model.safetensors"]


def test_every_file_of_a_checkpoint_is_listed(stopped):
    for step in (6, 12):
        folder = stopped / f"checkpoint-{step}"
        listed = json.loads((folder / "manifest.json").read_text())["files"]
        assert {*listed, "manifest.json"} == {path.name for path in folder.iterdir()} >= {*FILES, "adapter_config.json"}
        assert checkpoints.faults(folder) == []


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "changed"])
def test_damage_of_any_file_is_named_and_the_older_checkpoint_is_taken(stopped, how):
    for name in (*FILES, "adapter_config.json", "training_args.bin"):
        path = stopped / "checkpoint-12" / name
        content = path.read_bytes()
        pattern = damage(path, how)
        chosen, (line, end) = lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True))
        assert chosen == str(stopped / "checkpoint-6") and end == "run continues from checkpoint-6"
        assert re.fullmatch(rf"run: checkpoint-12 is not used: {pattern}", line), line
        path.write_bytes(content)
    assert checkpoints.to_resume(stopped, "run", best=True) == str(stopped / "checkpoint-12")


def test_a_damaged_manifest(stopped):
    path = stopped / "checkpoint-12" / "manifest.json"
    text, content = path.read_text(), json.loads(path.read_text())
    wrong = ["", text[: len(text) // 2], "[]", "{}", json.dumps({**content, "schema": 99})]
    wrong += [json.dumps({**content, "files": files}) for files in ({}, [], {"trainer_state.json": "no entry"})]
    for damaged in wrong:
        path.write_text(damaged)
        chosen, (line, _) = lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True))
        assert chosen == str(stopped / "checkpoint-6")
        assert line == "run: checkpoint-12 is not used: manifest.json is damaged"
    path.unlink()
    chosen, (line, _) = lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True))
    assert chosen == str(stopped / "checkpoint-6")
    assert line == "run: checkpoint-12 is not used: it was not finished, since it has no manifest.json"


def test_a_checkpoint_under_the_name_of_another_step(stopped):
    (stopped / "checkpoint-12").rename(stopped / "checkpoint-15")
    chosen, (line, _) = lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True))
    assert chosen == str(stopped / "checkpoint-6") and line == "run: checkpoint-15 is not used: it is of step 12"


def test_a_checkpoint_whose_best_epoch_is_damaged_is_not_used_if_the_best_epoch_is_tested(stopped):
    path = stopped / "checkpoint-12" / "trainer_state.json"
    state = json.loads(path.read_text()) | {"best_model_checkpoint": "elsewhere/checkpoint-6"}
    path.write_text(json.dumps(state))
    (path.parent / "manifest.json").unlink()
    checkpoints.finish(path.parent)
    damage(stopped / "checkpoint-6" / "adapter_model.safetensors", "cut")
    assert checkpoints.to_resume(stopped, "run", best=False) == str(path.parent)
    chosen, (first, second, end) = lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True))
    assert chosen is None and end == "run begins anew, because no whole checkpoint is left"
    assert "checkpoint-12 is not used: its best epoch is checkpoint-6, where adapter_model" in first
    assert "checkpoint-6 is not used: adapter_model.safetensors has" in second


def test_without_checkpoints_nothing_is_said(tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        assert lines_of(lambda folder=folder: checkpoints.to_resume(folder, "run", best=True)) == (None, [])
    (tmp_path / "checkpoint-6").mkdir()
    (tmp_path / "checkpoint-x").mkdir()
    chosen, lines = lines_of(lambda: checkpoints.to_resume(tmp_path, "run", best=True))
    assert chosen is None and len(lines) == 2


def test_only_the_first_process_decides(stopped, monkeypatch):
    asked = []
    monkeypatch.setattr(distributed, "from_first", lambda value: asked.append(value) or ("of the first", ["a line"]))
    other = type("Process", (), {"is_main_process": False})
    monkeypatch.setattr(distributed, "state", lambda: other)
    assert lines_of(lambda: checkpoints.to_resume(stopped, "run", best=True)) == ("of the first", [])
    assert asked == [(None, [])]


def poison(folder: Path) -> None:
    """Replace the weights of an adapter by NaN; the file stays one that loads."""
    file = folder / "adapter_model.safetensors"
    save_file({k: v * torch.nan for k, v in load_file(file).items()}, file, metadata={"format": "pt"})


def advance(folder: Path) -> None:
    """Let the state of a checkpoint claim that one step is left."""
    path = folder / "trainer_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"global_step": 17}))


@LOADS_OPTIMIZERS
@pytest.mark.parametrize(
    ("how", "step"),
    [
        (lambda folder: poison(folder / "checkpoint-12"), 6),
        (lambda folder: advance(folder / "checkpoint-12"), 6),
        (lambda folder: damage(folder / "checkpoint-12" / "rng_state.pth", "missing"), 6),
        (lambda folder: [damage(path, "empty") for path in folder.glob("*/optimizer.pt")], 0),
        (lambda folder: None, 12),
    ],
    ids=["NaN in the adapter", "a false step", "no random state", "both damaged", "none damaged"],
)
def test_the_run_ends_like_an_undisturbed_one(stopped, undisturbed, recipe, steps, how, step):
    how(stopped)
    del steps[:]
    result, lines = lines_of(lambda: training.run(recipe()))
    assert steps == list(range(step, 18))
    for name in OUTCOME:
        assert getattr(result, name) == getattr(undisturbed, name), name
    assert (
        lines[-1:]
        == {
            12: [],
            6: [f"{recipe().name} continues from checkpoint-6"],
            0: [f"{recipe().name} begins anew, because no whole checkpoint is left"],
        }[step]
    )
    assert not stopped.exists()


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("at", ["half of the state", "before the manifest"])
def test_an_interruption_while_a_checkpoint_is_written(recipe, undisturbed, monkeypatch, steps, at):
    save, finish = TrainerState.save_to_json, checkpoints.finish

    def half(self, path):
        save(self, path)
        if self.global_step == 12 and at == "half of the state":
            Path(path).write_text(Path(path).read_text()[:99])
            raise KeyboardInterrupt

    def unfinished(folder):
        if folder.name == "checkpoint-12" and at == "before the manifest":
            raise KeyboardInterrupt
        finish(folder)

    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save_to_json", half)
        patch.setattr(checkpoints, "finish", unfinished)
        with pytest.raises(KeyboardInterrupt):
            training.run(recipe())
    del steps[:]
    result, (line, _) = lines_of(lambda: training.run(recipe()))
    assert "checkpoint-12 is not used: it was not finished" in line and steps == list(range(6, 18))
    assert [getattr(result, name) for name in OUTCOME] == [getattr(undisturbed, name) for name in OUTCOME]


def test_the_older_checkpoint_is_removed_when_the_newer_one_is_on_the_disk(recipe, monkeypatch):
    """At the end of each epoch: what is there before the manifest is written, and after."""
    found, finish = [], checkpoints.finish

    def names(folder: Path) -> list[str]:
        return sorted((path.name for path in folder.parent.glob("checkpoint-*")), key=lambda name: int(name[11:]))

    def watched(folder):
        found.append(names(folder))
        finish(folder)

    monkeypatch.setattr(checkpoints, "finish", watched)
    training.run(recipe(epochs=4, tested_epoch="last"))
    assert found == [
        ["checkpoint-6"],
        ["checkpoint-6", "checkpoint-12"],
        ["checkpoint-6", "checkpoint-12", "checkpoint-18"],
        ["checkpoint-12", "checkpoint-18", "checkpoint-24"],
    ]


@LOADS_OPTIMIZERS
def test_the_best_epoch_is_found_again_in_a_folder_that_was_moved(recipe, interrupt, monkeypatch, tmp_path):
    scores = iter((0.0, 0.9, 0.2, 0.0, 0.1, 0.9))  # each part of the run starts with an evaluation
    monkeypatch.setattr(training.kinds.classification, "score", lambda prediction, task: {"score": next(scores)})
    loaded, load = [], Trainer._load_best_model
    monkeypatch.setattr(
        Trainer, "_load_best_model", lambda self: loaded.append(self.state.best_model_checkpoint) or load(self)
    )
    interrupt(recipe(), at_evaluation=3)
    shutil.move(recipe().output_dir, tmp_path / "moved")
    result = training.run(recipe(output_dir=str(tmp_path / "moved")))
    assert result.best_epoch == 1 and Path(loaded[0]).is_relative_to(tmp_path / "moved")


def test_a_best_epoch_that_is_damaged_meanwhile_is_named(recipe, monkeypatch):
    prepared = training.prepare(recipe(epochs=1))
    monkeypatch.setattr(Trainer, "_load_best_model", lambda self: pytest.fail("a damaged checkpoint was read"))
    remove = checkpoints.remove_others

    def damaging(newest, best):
        remove(newest, best)
        poison(newest)

    monkeypatch.setattr(checkpoints, "remove_others", damaging)
    with pytest.raises(ValueError, match=r"cannot be read back: in .*checkpoint-6, adapter_model\.safetensors is not"):
        training.train(prepared)


@pytest.mark.parametrize("name", [pytest.param("optimizer.pt", marks=LOADS_OPTIMIZERS), "adapter_model.safetensors"])
def test_a_checkpoint_whose_manifest_lists_a_damaged_file_is_one_line(recipe, stopped, name):
    folder = stopped / "checkpoint-12"
    (folder / name).write_bytes(b"damaged")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = digests.digest(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        training.CheckpointError, match=r"^.*checkpoint-12 cannot be read \(.+\); delete it, and repeat"
    ):
        training.run(recipe())


def test_a_checkpoint_with_other_weights_is_refused(recipe, stopped):
    (stopped / "checkpoint-12" / "model.safetensors").touch()
    with pytest.raises(training.CheckpointError, match=r"checkpoint-12 holds model\.safetensors, weights of a whole"):
        training.run(recipe())
