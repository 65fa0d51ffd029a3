"""Sweeps on this machine: nothing runs twice, nothing is lost, and what fails stops nothing else."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from circpeft import recipes, results, sweeps
from circpeft.sweeps import record
from circpeft.sweeps.work import Done


def scores(folder: Path) -> dict[str, tuple]:
    """What the seed decides of every record in a folder."""
    return {r.label + str(r.seed): (r.score, r.test_score, r.losses, r.epochs) for r in results.read_all(folder)}


def processes_of(folder: Path) -> list[int]:
    """Living processes that hold a file of a folder open: the workers' log."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = [os.readlink(link) for link in path.iterdir()]
        except OSError:  # gone meanwhile
            continue
        found += [int(path.parent.name)] if any(link.startswith(str(folder)) for link in links) else []
    return found


def test_runs_fails_skips_and_goes_on(plan, capsys):
    planned = plan(["c3a", "lora:r=4", "c3a:block_size=7"], seeds=2)
    folder, ends = Path(planned.cells[0].output_dir), []
    outcome = sweeps.run_sweep(planned, on_end=lambda done, recipe: ends.append((done.name, done.state)))
    assert (len(outcome.finished), outcome.skipped, len(outcome.failed)) == (4, [], 2)
    assert sorted(ends) == sorted([(n, "finished") for n in outcome.finished] + [(n, "failed") for n in outcome.failed])
    assert "block_size=7 does not divide" in capsys.readouterr().err
    for name, error in outcome.failed.items():
        failure = json.loads((folder / "failed" / f"{name}.json").read_text())
        assert failure["error"] == error and failure["state"] == "failed" and failure["device"] and failure["commit"]
    assert {path.stem for path in (folder / "results").iterdir()} == set(outcome.finished)
    assert {r.state for r in results.read_all(folder)} == {"finished"}

    manifest = json.loads((folder / "sweeps" / "mine.json").read_text())
    assert [cell["run"] for cell in manifest["cells"]] == [cell.name for cell in planned.cells]
    assert not any(cell["printed_task"] for cell in manifest["cells"]) and manifest["statistic"] == "mean"
    assert not list((folder / "running").iterdir()) and not list((folder / "checkpoints").iterdir())

    # A record that was cut off, one of another schema, and a failure that is mended: only these run again.
    cut, older, *kept = sorted((folder / "results").iterdir())
    cut.write_text(cut.read_text()[:100])
    older.write_text(json.dumps({**json.loads(older.read_text()), "schema": 1}))
    written = {path: path.stat().st_mtime_ns for path in kept}
    again = sweeps.run_sweep(plan(["c3a", "lora:r=4"], seeds=2))
    assert set(again.finished) == {cut.stem, older.stem} and set(again.skipped) == {path.stem for path in kept}
    assert written == {path: path.stat().st_mtime_ns for path in kept}
    assert len(list((folder / "unreadable").iterdir())) == 2 and len(results.read_all(folder)) == 4
    said = capsys.readouterr().err
    assert "is not a record" in said and "has schema 1" in said and "it runs again" in said


def test_a_sweep_in_which_nothing_can_run_says_why_before_anything_runs(plan):
    planned = plan(["c3a:block_size=7", "c3a:block_size=5"])
    with pytest.raises(ValueError, match="block_size=7 does not divide 32; nearest divisors: 4, 8"):
        sweeps.run_sweep(planned)
    assert not (Path(planned.cells[0].output_dir) / "failed").exists()


def test_a_folder_takes_one_sweep_at_a_time(plan):
    planned = plan(["c3a"])
    folder = Path(planned.cells[0].output_dir)
    folder.mkdir(parents=True)
    with open(folder / ".sweep.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another sweep is running in"):
            sweeps.run_sweep(planned)
    with record.hold(folder):  # the lock ended with its holder
        pass


def test_workers_must_be_some(plan):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        sweeps.run_sweep(plan(["c3a"]), workers=0)


def test_a_worker_that_is_killed_costs_no_run(plan):
    planned = plan(["c3a", "lora:r=4", "head"], epochs=8)
    running, killed = Path(planned.cells[0].output_dir) / "running", []

    def kill():
        while not (running.exists() and list(running.glob("*.json"))):
            time.sleep(0.05)
        for child in multiprocessing.active_children():
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    outcome = sweeps.run_sweep(planned)
    assert killed and len(outcome.finished) == 3 and not outcome.failed


def test_workers_are_replaced_and_one_may_die_idle(plan, monkeypatch):
    """Two runs a worker; the second worker is killed between two runs."""
    planned = plan(["head"], seeds=5, epochs=1)
    monkeypatch.setattr(sweeps.local, "RUNS_PER_WORKER", 2)
    workers, ends = [], []

    def on_end(done, recipe):
        [child] = multiprocessing.active_children()
        workers.append(child.pid)
        ends.append(done.name)
        if len(ends) == 3:
            child.kill()
            child.join()

    outcome = sweeps.run_sweep(planned, on_end=on_end)
    assert sorted(ends) == sorted(outcome.finished) and len(set(ends)) == 5
    first, again, second, third, _ = workers
    assert first == again and len({first, second, third}) == 3


def die_or_end(recipe):
    """In the place of a run: LoRA kills its process, the others end."""
    if recipe.method == "lora":
        time.sleep(0.2)  # so that something runs beside it
        os._exit(9)
    return Done(recipe.name, "finished", "accuracy", 0.5, 0.5, 1.0)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_dies_each_time_is_given_up_and_costs_no_other(plan, monkeypatch, workers):
    planned = plan(["head", "lora:r=4", "c3a", "cdvft"])
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(sweeps.local, "work", die_or_end)
    monkeypatch.setattr(sweeps.local, "start_worker", lambda *arguments: None)
    monkeypatch.setattr(sweeps.local.multiprocessing, "get_context", lambda kind: fork)
    outcome = sweeps.run_sweep(planned, workers=workers)
    [(name, error)] = outcome.failed.items()
    assert "lora" in name and "its process died 3 times" in error and "fewer workers" in error
    assert len(outcome.finished) == 3


def test_a_full_disk_stops_the_sweep_and_says_what_to_do(plan, monkeypatch):
    planned = plan(["head", "lora:r=4", "c3a"])
    full = OSError(errno.ENOSPC, "No space left on device")

    def runs(recipes, *arguments):
        yield Done(recipes[0].name, "finished", "accuracy", 0.5, 0.5, 1.0)
        yield Done(recipes[1].name, "failed", error=str(full), disk_full=True)
        raise AssertionError("went on")

    monkeypatch.setattr(sweeps, "run_locally", runs)
    with pytest.raises(sweeps.Stopped, match="can no longer write .*No space left.* What is finished stays; make room"):
        sweeps.run_sweep(planned)
    assert not (Path(planned.cells[0].output_dir) / "failed").exists()


@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_cannot_be_written_to(plan, tmp_path, below):
    (tmp_path / "out").write_text("a file")
    planned = plan(["c3a"], folder="out/inside" if below else "out")
    with pytest.raises(sweeps.SweepError, match="cannot write in .*; give another output folder"):
        sweeps.run_sweep(planned)


def test_options_that_do_not_go_together(plan):
    with pytest.raises(sweeps.SweepError, match="gpus=0.5 is the share of a run on a cluster"):
        sweeps.run_sweep(plan(["c3a"]), gpus=0.5)
    with pytest.raises(sweeps.SweepError, match="workers=2 is for this machine"):
        sweeps.run_sweep(plan(["c3a"]), workers=2, ray="auto")


def test_a_plan_of_some_rows_or_fewer_seeds_keeps_the_rest_in_the_table(tmp_path):
    def cells(**options) -> set:
        plan = recipes.plan_table("cdvft-1", "smoke", output_dir=tmp_path, **options)
        path = record.write_plan(plan, tmp_path)
        return {(c["row"], c["seed"]) for c in json.loads(path.read_text())["cells"]}

    rows = {row.name for row in recipes.TABLES["cdvft-1"].rows}
    assert cells(seeds=3) == {(row, seed) for row in rows for seed in range(3)}
    assert cells(seeds=2, rows=["LoRA"]) == {(row, seed) for row in rows for seed in range(3)}
    assert cells(seeds=1, epochs=7) == {(row, 0) for row in rows}  # other settings are another table


def test_killed_in_the_middle_it_goes_on_and_ends_like_a_whole_one(plan, sweep_file, tmp_path):
    methods, settings = ["c3a", "lora:r=4"], {"epochs": 6, "seeds": 2}
    file, folder = sweep_file(methods, **settings), tmp_path / "killed"
    command = [sys.executable, "-m", "circpeft", "sweep", str(file), "--output-dir", str(folder), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while len(list((folder / "results").glob("*.json"))) < 2 or not list((folder / "running").glob("*.json")):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.05)
    process.kill()
    process.wait()
    limit = time.monotonic() + 10
    while processes_of(folder):  # no worker goes on alone
        assert time.monotonic() < limit
        time.sleep(0.1)
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}
    assert 2 <= len(before) < 4

    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and (lines[-1]["finished"], lines[-1]["skipped"]) == (4 - len(before), len(before))
    assert {line["state"] for line in lines[:-1]} == {"finished"} and len(lines) == 5 - len(before)
    assert before == {path: path.stat().st_mtime_ns for path in before}

    whole = plan(methods, folder="whole", **settings)
    sweeps.run_sweep(whole)
    assert scores(folder) == scores(Path(whole.cells[0].output_dir)) and len(scores(folder)) == 4
