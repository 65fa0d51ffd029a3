"""A full or read-only disk: one line that names what could not be written, exit code 1, and nothing half-written."""

import errno
import os
import resource
import shutil
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import save_file

from circpeft import cli, files
from circpeft.files import disk


@contextmanager
def largest_file(size: int):
    """Let the system refuse to make any file larger than a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fail(number: int):
    def failing(*_, **__):
        raise OSError(number, os.strerror(number))

    return failing


WRITERS = {
    "torch": lambda folder: torch.save(torch.zeros(100_000), folder / "optimizer.pt"),
    "torch, many tensors": lambda folder: torch.save([torch.zeros(9) for _ in range(2000)], folder / "optimizer.pt"),
    "safetensors": lambda folder: save_file({"a": torch.zeros(100_000)}, folder / "model.safetensors"),
    "Python": lambda folder: (folder / "a.json").write_bytes(b"a" * 400_000),
    "a copy": lambda folder: shutil.copytree(folder.parent / "log", folder / "log"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_library_has_the_same_error(tmp_path, writer):
    """PyTorch and safetensors raise errors of their own, and a copied folder has a list of errors."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "events").write_bytes(b"a" * 400_000)
    with pytest.raises(files.WriteError, match="^no room for '.*out': ") as raised, largest_file(4096):
        with files.atomic_folder(tmp_path / "out") as folder:
            WRITERS[writer](folder)
    assert raised.value.errno in disk.FULL and "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_line_has_what_is_needed_and_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 5 * 2**20))
    monkeypatch.setattr(files.os, "replace", fail(errno.ENOSPC))
    with pytest.raises(OSError) as raised:
        files.write_atomically(tmp_path / "below" / "a.json", b"a" * 3000)
    expected = "3 KiB are needed, and 5 MiB are free; free some, or choose a place on another disk"
    assert str(raised.value) == f"no room for {str(tmp_path / 'below' / 'a.json')!r}: {expected}"
    assert list((tmp_path / "below").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder(tmp_path, monkeypatch, number):
    monkeypatch.setattr("builtins.open", fail(number))
    with pytest.raises(files.WriteError, match=f"^cannot write '.*a.json': {os.strerror(number)}; choose"):
        files.write_atomically(tmp_path / "a.json", "text")


def test_a_folder_above_that_cannot_be_made(tmp_path):
    """The error of the system names that folder; the line has what was to be written."""
    above = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "runs"))
    with pytest.raises(files.WriteError, match="^cannot write '.*a.json': Permission denied; set HF_HOME, or make it"):
        with files.explained(tmp_path / "runs" / "mine" / "a.json", elsewhere="set HF_HOME"):
            raise above


def test_the_line_of_the_closest_place_stays(tmp_path):
    with pytest.raises(files.WriteError) as raised, files.explained(tmp_path):
        with files.explained(tmp_path / "out" / "checkpoint-9"):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    assert "checkpoint-9" in str(raised.value) and raised.value.errno == errno.EFBIG


def test_other_errors_stay_as_they_are(tmp_path):
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/another/model.safetensors")
    beside = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "data" / "train.csv"))
    for error in (
        ValueError("a value"),
        elsewhere,
        beside,
        FileNotFoundError(errno.ENOENT, "no file"),
        RuntimeError("shape"),
    ):
        with pytest.raises(type(error)) as raised, files.explained(tmp_path / "out"):
            raise error
        assert raised.value is error


def test_a_report_for_which_there_is_no_room(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    with largest_file(100):
        code = cli.main(["report", str(tmp_path), "--output", str(tmp_path / "report.html")])
    output = capsys.readouterr().err
    assert code == 1 and output.startswith("circpeft report: error: no room for") and output.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
