"""Real runs that are interrupted, or made twice at a time: nothing is left behind, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from circpeft import cli, recipes, results
from circpeft.run_files.ownership import read_owner
from circpeft.training import turns

RESTORE = partial(signal.signal, signal.SIGINT, signal.default_int_handler)


def start(*arguments):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "circpeft", *map(str, arguments)], text=True, preexec_fn=RESTORE, **pipes
    )


def children(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found += [int(path.parent.name)] if fields[1] == str(pid) else []
    return found


def ended(pid):
    """Return whether a process ends within ten seconds; Python's resource tracker outlives its parent for a moment."""
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}"):
            return True
        time.sleep(0.1)
    return False


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def test_an_interrupted_sweep_leaves_no_worker_and_says_how_to_go_on(sweep_file, tmp_path):
    arguments = ["sweep", sweep_file(["head"], seeds=2, epochs=300), "--output-dir", tmp_path / "out", "--quiet"]
    process = start(*arguments)
    running = tmp_path / "out" / "running"
    wait_for(lambda: running.is_dir() and list(running.glob("*.json")), process)
    workers = children(process.pid)
    process.terminate()
    out, error = process.communicate(timeout=120)
    assert process.returncode == 143 and out == ""
    assert "the same command continues the sweep" in error.strip().splitlines()[-1]
    assert len([line for line in error.splitlines() if line.strip()]) <= 2  # with that about the data
    assert workers and all(map(ended, workers))


@pytest.fixture
def train(tiny_model, data, tmp_path):
    """Return the arguments of a training that ends only when it is told to."""

    def arguments(epochs):
        settings = {"model": tiny_model, "target_modules": "query,value", "epochs": epochs, "batch_size": 16}
        given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        return [
            "train",
            "head",
            "--task",
            "sst2",
            "--data-dir",
            f"{data}/sst2",
            "--output-dir",
            tmp_path / "out",
            *given,
        ]

    return arguments


@pytest.mark.full
def test_two_trainings_of_one_recipe_and_an_interruption(train, tmp_path, capsys):
    process = start(*train(2000), "--quiet")
    folder = tmp_path / "out"
    wait_for(lambda: list(folder.glob("checkpoints/*/checkpoint-*/trainer_state.json")), process)
    assert cli.main([*map(str, train(2000))]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "another process makes the run sst2-head-s0-" in line and f"process {process.pid}" in line
    [lock] = (folder / turns.FOLDER).glob("*.lock")
    assert read_owner(lock).pid == process.pid
    process.terminate()
    out, error = process.communicate(timeout=120)
    assert process.returncode == 143 and out == ""
    assert "circpeft train: ended by SIGTERM: the checkpoints of finished epochs stay" in error.splitlines()[-1]
    assert read_owner(lock) is None and list(folder.glob("checkpoints/*/checkpoint-*"))


def test_the_second_of_two_reads_the_record_of_the_first(train, tmp_path, monkeypatch, capsys):
    """The first one finishes while the second one prepares: the run is not made twice."""
    from circpeft import training

    arguments = [*map(str, train(1)), "--json"]
    assert cli.main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(training, "read_or_prepare", lambda recipe: training.prepare(recipe))
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert len(results.read_all(tmp_path / "out")) == 1


def test_a_long_label_has_files(tmp_path):
    recipe = recipes.Recipe("sst2", "c3a", hyperparameters={"block_size": "é" * 300}, output_dir=str(tmp_path))
    other = recipes.Recipe("sst2", "c3a", hyperparameters={"block_size": "é" * 301}, output_dir=str(tmp_path))
    assert len(recipe.name.encode()) <= 200 and recipe.name != other.name
    assert recipe.name.endswith(f"-s0-{recipe.name[-10:]}")
