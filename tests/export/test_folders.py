"""Wrong folders, forms and base models are named in one line, before anything is written."""

import errno
import os

import pytest
from safetensors import SafetensorError

from circpeft.cli import main
from circpeft.export import new_folder

from .conftest import llama


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no form given; add --to with one of: lora, peft-c3a, onnx, gguf"),
        (["--to", "onxn"], "unknown form 'onxn'; did you mean 'onnx'?"),
        (["--to", "gguf", "--dtype", "bfloat"], "did you mean 'bfloat16'"),
        (["--to", "gguf", "--converter", "/nowhere/c.py"], "no converter '/nowhere/c.py'"),
        (["--to", "onnx", "--tolerance", "2"], "tolerance must be a difference between 0 and 1"),
    ],
)
def test_wrong_options_are_refused_in_one_line(arguments, message, base, saved, tmp_path, capsys):
    adapter = saved("c3a", base)
    assert main(["export", adapter.folder, str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("method", "size", "command"),
    [
        ("c3a", ("num_hidden_layers", 1), ["merge"]),
        ("c3a", ("hidden_size", 64), ["export", "--to", "lora"]),
        ("lora", ("num_hidden_layers", 1), ["merge"]),  # PEFT would load it without a word
        ("lora", ("num_hidden_layers", 3), ["merge"]),  # PEFT would warn
        ("lora", ("hidden_size", 64), ["merge"]),
    ],
)
def test_an_adapter_of_another_base_model_is_refused(method, size, command, base, saved, tmp_path, capsys, monkeypatch):
    adapter = saved(method, base)
    monkeypatch.setitem(llama.__globals__["SIZES"], *size)
    other = llama(tmp_path / "other")
    assert main([command[0], adapter.folder, str(tmp_path / "out"), "--base", str(other), *command[1:]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"does not fit base model {str(other)!r}" in error
    assert not (tmp_path / "out").exists()


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="no permission to write in .*; choose another place"):
        new_folder.check_new(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="'.*file' is not a folder"):
        new_folder.check_new(tmp_path / "file" / "out")


def test_a_place_that_a_folder_cannot_take_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (".", tmp_path):
        with pytest.raises(FileExistsError, match="is the working directory or .* choose a folder in it"):
            new_folder.check_new(out)
    monkeypatch.chdir("/")
    assert new_folder.check_new(tmp_path) == tmp_path
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)  # as a volume in a container is
    with pytest.raises(FileExistsError, match="working directory or a mount point"):
        new_folder.check_new(tmp_path)
    with pytest.raises(FileExistsError, match="'/dev/null' exists and is not an empty folder"):
        new_folder.check_new("/dev/null")


@pytest.mark.parametrize(
    "raised",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), SafetensorError(f"I/O error: {os.strerror(errno.ENOSPC)}")],
)
def test_a_full_disk_leaves_nothing_behind(raised, tmp_path):
    with pytest.raises(OSError, match=r"no room for '.*out': 1 MiB are needed, and .* MiB are free"):
        with new_folder.new_folder(tmp_path / "out", needed=2**20) as folder:
            (folder / "part").write_text("half")
            raise raised
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="no room"), new_folder.new_folder(tmp_path / "out", needed=2**60):
        pass
    assert list(tmp_path.iterdir()) == []
