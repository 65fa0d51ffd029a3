"""A sweep beside another process that makes one of its runs: the sweep makes the others, and waits for that one."""

import subprocess
import sys
from pathlib import Path

import pytest

from circpeft import results, sweeps, training
from circpeft.recipes import Recipe
from circpeft.run_files.ownership import owner_path
from circpeft.sweeps import in_turn
from circpeft.sweeps.work import Done
from circpeft.training import turns

OWN = """
import sys
from pathlib import Path
from circpeft.run_files.ownership import owned
with owned(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(monkeypatch):
    """Return a function that starts a process which makes a run until its input is closed."""
    monkeypatch.setattr(in_turn, "WAIT_SECONDS", 0.02)
    started = []

    def start(recipe) -> subprocess.Popen:
        lock = turns.lock_of(recipe)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", OWN, str(lock)], text=True, **pipes))
        assert started[-1].stdout.readline() == "owned\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("leaves_a_record", [True, False])
def test_a_run_of_another_process_takes_its_turn(
    plan, in_this_process, other_process, tmp_path, capsys, leaves_a_record
):
    planned = plan(["head", "lora:r=4"], epochs=1)
    head, lora = planned.cells
    record, ends, states = results.path_of(head.name, head.output_dir), [], []
    if leaves_a_record:
        training.run(head)
        record.rename(tmp_path / "record.json")
    process = other_process(head)

    def on_end(done, recipe):
        ends.append(done.name)
        states.append(done.state)
        if done.name == lora.name:
            if leaves_a_record:
                (tmp_path / "record.json").rename(record)
                states.append(record.stat().st_mtime_ns)
            process.communicate()  # closes its input: it ends

    outcome = sweeps.run_sweep(planned, on_end=on_end, progress=False)
    assert ends == outcome.finished == [lora.name, head.name] and not outcome.failed
    if leaves_a_record:
        assert states == ["finished", record.stat().st_mtime_ns, "finished"]  # the run was not made again
    [line] = [text for text in capsys.readouterr().err.splitlines() if "another process" in text]
    assert f"makes the run {head.name} (host " in line and f"process {process.pid}, since" in line
    assert line.endswith("the sweep makes its other runs, then waits for this one")
    assert len(results.read_all(head.output_dir)) == 2 and not (Path(head.output_dir) / "failed").exists()


def test_a_process_that_cannot_be_seen_from_here_is_asked_for_again(plan, monkeypatch, capsys):
    """As on a cluster whose machines do not share the output folder."""
    monkeypatch.setattr(in_turn, "WAIT_SECONDS", 0.0)
    first, second = plan(["head", "c3a"]).cells
    asked = []

    def runner(recipes):
        asked.append([recipe.name for recipe in recipes])
        for recipe in recipes:
            yield Done(recipe.name, "busy" if recipe == first and len(asked) < 4 else "finished")
        yield []

    done = [event for event in in_turn.run_in_turn(runner, [first, second]) if isinstance(event, Done)]
    assert [(event.name, event.state) for event in done] == [(second.name, "finished"), (first.name, "finished")]
    assert asked == [[first.name, second.name], *[[first.name]] * 3]
    assert capsys.readouterr().err.count("another process makes the run") == 1


def test_the_name_of_a_worker_that_was_killed_after_its_record_is_removed(tmp_path):
    recipe = Recipe("sst2", "lora", output_dir=str(tmp_path))
    lock = turns.lock_of(recipe)
    with subprocess.Popen([sys.executable, "-c", OWN, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout.readline() == b"owned\n"
        one.kill()
    assert owner_path(lock).exists()
    assert list(in_turn.run_in_turn(lambda recipes: (event for event in ()), [recipe])) == []
    assert not owner_path(lock).exists()
