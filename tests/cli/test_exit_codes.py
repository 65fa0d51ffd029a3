"""Exit codes of commands that fail after they began: 1 for a disk and for a run, in one line; 2 for wrong usage."""

import errno

import pytest

from circpeft import cli, export, files, training
from circpeft.cli import train


@pytest.mark.parametrize("command", [["merge"], ["export", "--to", "peft-c3a"]])
def test_a_full_disk_is_not_wrong_usage(command, monkeypatch, capsys):
    def full(*_, **__):
        raise files.WriteError(errno.ENOSPC, "no room for 'out': 3 MiB are free")

    for name in ("merge_folder", "export_peft_c3a"):
        monkeypatch.setattr(export, name, full)
    assert cli.main([command[0], "adapter", "out", *command[1:]]) == 1
    assert capsys.readouterr().err == f"circpeft {command[0]}: error: no room for 'out': 3 MiB are free\n"


@pytest.mark.parametrize(
    "error",
    [
        FloatingPointError("the test loss is nan: the training diverged; lower its learning_rate"),
        training.CheckpointError("checkpoint-6 holds pytorch_model.bin, a pickle, which is not read"),
        FileNotFoundError("model 'a/b' is not on the hub"),
        files.WriteError(errno.ENOSPC, "no room for 'out': 3 MiB are free"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_training_that_fails_is_one_line(monkeypatch, capsys, error):
    def failing(recipe):
        raise error

    monkeypatch.setattr(training, "check", lambda recipes: {("entailment", ""): "test: as published"})
    monkeypatch.setattr(train, "_run", failing)
    assert cli.main(["train", "head"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"circpeft train: error: {error}"


def test_a_mistake_in_the_code_keeps_its_traceback(monkeypatch):
    def wrong(recipe):
        raise ValueError("an error of nobody's file")

    monkeypatch.setattr(training, "check", lambda recipes: {("entailment", ""): "test: as published"})
    monkeypatch.setattr(train, "_run", wrong)
    with pytest.raises(ValueError, match="nobody's file"):
        cli.main(["train", "head"])


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        (["rates", "--search"], "--plot", "x.html"),
        (["report"], "--output", "x.md"),
        (["predict", "x"], "--to", "x.jsonl"),
    ],
)
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_that_cannot_be_written_is_refused_before_any_work(command, option, name, is_folder, tmp_path, capsys):
    more = {"report": [str(tmp_path)], "predict": ["--text", "a"]}.get(command[0], [])
    (tmp_path / "a file").write_text("")
    place = tmp_path / ("" if is_folder else "a file") / name
    if is_folder:
        place.mkdir()
    assert cli.main([*command, *more, option, str(place)]) == 2
    error = capsys.readouterr().err
    assert ("is a folder; give the name" if is_folder else "a file' is not a folder; choose another") in error
    assert error.count("\n") == 1
