"""Sweeps on this machine: nothing runs twice, nothing is lost, and the others continue if a run fails."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from circpeft import cli, recipes, results, sweeps
from circpeft.sweeps import record
from circpeft.sweeps.work import Done


def scores(folder: Path) -> dict[str, tuple]:
    """Return what the seed determines in every record of a folder."""
    return {r.label + str(r.seed): (r.score, r.test_score, r.losses, r.epochs) for r in results.read_all(folder)}


def test_a_sweep_finishes_fails_skips_and_repeats_runs(plan, in_this_process, capsys):
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

    # Only a truncated record, one of another schema, and a failure with its cause removed run again.
    cut, older, *kept = sorted((folder / "results").iterdir())
    cut.write_text(cut.read_text()[:100])
    older.write_text(json.dumps({**json.loads(older.read_text()), "schema": 1}))
    written = {path: path.stat().st_mtime_ns for path in kept}
    again = sweeps.run_sweep(plan(["c3a", "lora:r=4"], seeds=2))
    assert set(again.finished) == {cut.stem, older.stem} and set(again.skipped) == {path.stem for path in kept}
    assert written == {path: path.stat().st_mtime_ns for path in kept}
    assert len(list((folder / "unreadable").iterdir())) == 2 and len(results.read_all(folder)) == 4
    message = capsys.readouterr().err
    assert "is not JSON in UTF-8" in message and "has schema 1" in message and "it runs again" in message


def test_a_sweep_without_a_possible_run_raises_before_anything_runs(plan):
    planned = plan(["c3a:block_size=7", "c3a:block_size=5"])
    with pytest.raises(ValueError, match="block_size=7 does not divide 32; nearest divisors: 4, 8"):
        sweeps.run_sweep(planned)
    assert not (Path(planned.cells[0].output_dir) / "failed").exists()


def test_a_folder_holds_one_sweep_at_a_time(plan):
    planned = plan(["c3a"])
    folder = Path(planned.cells[0].output_dir)
    folder.mkdir(parents=True)
    hold = (
        "import sys; from circpeft.files import locked\n"
        "with locked(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(folder / ".sweep.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another sweep is running in"):
            sweeps.run_sweep(planned)
        holder.kill()
    with record.hold(folder):  # the lock ended with its holder
        pass


def test_there_must_be_at_least_one_worker(plan):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        sweeps.run_sweep(plan(["c3a"]), workers=0)


def test_no_run_is_lost_with_a_killed_worker(plan):
    """With workers as a user has them. Most other tests run in this process, or fork."""
    planned = plan(["c3a", "head"], epochs=4)
    running, killed = Path(planned.cells[0].output_dir) / "running", []

    def kill():
        while not (running.exists() and list(running.glob("*.json"))):
            time.sleep(0.05)
        for child in multiprocessing.active_children():
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    outcome = sweeps.run_sweep(planned)
    assert killed and len(outcome.finished) == 2 and not outcome.failed


@pytest.fixture
def forked(monkeypatch):
    """Return a function that takes the place of runs in workers, which are forked: they import nothing."""

    def replace(work) -> None:
        fork = multiprocessing.get_context("fork")
        monkeypatch.setattr(sweeps.local, "work", work)
        monkeypatch.setattr(sweeps.local, "start_worker", lambda *arguments: None)
        monkeypatch.setattr(sweeps.local.multiprocessing, "get_context", lambda kind: fork)

    return replace


def end(recipe):
    """Replace a run: it finishes at once."""
    return Done(recipe.name, "finished", "accuracy", 0.5, 0.5, 1.0)


def test_workers_are_replaced_also_if_one_dies_between_runs(plan, forked, monkeypatch):
    """Each worker has two runs; the second worker is killed between its runs."""
    forked(end)
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
    first, same, second, third, _ = workers
    assert first == same and len({first, second, third}) == 3


def die_or_end(recipe):
    """Replace a run: LoRA kills its process, the others finish."""
    if recipe.method == "lora":
        time.sleep(0.2)  # so that another run is active
        os._exit(9)
    return end(recipe)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_always_dies_is_given_up_and_the_others_finish(plan, forked, workers):
    forked(die_or_end)
    planned = plan(["head", "lora:r=4", "c3a", "cdvft"])
    outcome = sweeps.run_sweep(planned, workers=workers)
    [(name, error)] = outcome.failed.items()
    assert "lora" in name and "its process died 3 times" in error and "fewer workers" in error
    assert len(outcome.finished) == 3


def test_a_full_disk_stops_the_sweep_with_advice(sweep_file, tmp_path, monkeypatch, capsys):
    def runs(recipes, *arguments):
        yield Done(recipes[0].name, "finished", "accuracy", 0.5, 0.5, 1.0)
        yield Done(recipes[1].name, "failed", error="no room for 'out/logs': 0 KiB are free", disk_full=True)
        raise AssertionError("the sweep continued")

    monkeypatch.setattr(sweeps, "run_locally", runs)
    file = sweep_file(["head", "lora:r=4", "c3a"])
    assert cli.main(["sweep", str(file), "--output-dir", str(tmp_path / "out"), "--quiet"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("circpeft sweep: error: no room for 'out/logs': 0 KiB are free; ")
    assert "finished runs stay" in line and line.endswith("the same command continues the sweep")
    assert not (tmp_path / "out" / "failed").exists()


def test_an_error_ends_the_workers_at_once(plan, monkeypatch):
    """Not only when nothing refers to the error any more: a notebook keeps it."""
    ended = []

    def runs(recipes, *arguments):
        try:
            yield Done(recipes[0].name, "finished", "accuracy", 0.5, 0.5, 1.0)
            raise AssertionError("the sweep continued")
        finally:
            ended.append(True)

    def failing(done, recipe):
        raise ZeroDivisionError

    monkeypatch.setattr(sweeps, "run_locally", runs)
    with pytest.raises(ZeroDivisionError) as error:
        sweeps.run_sweep(plan(["head", "c3a"]), on_end=failing, progress=False)
    assert ended == [True] and error.traceback


def test_a_refused_judge_is_named_for_every_run_that_is_not_judged(tmp_path, monkeypatch):
    cells = [recipes.CellRecipe("alpaca", "lora", seed=seed) for seed in range(4)]
    outcome = sweeps.Outcome(tmp_path, finished=[cell.name for cell in cells])
    answers = iter([5.5, ValueError("no weights"), PermissionError("the key is refused")])

    def score(*_):
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(sweeps.judged, "score", score)
    sweeps._judge(SimpleNamespace(cells=cells), None, [], outcome, progress=False)
    first, second, third, fourth = (cell.name for cell in cells)
    refused = dict.fromkeys([third, fourth], "the key is refused")
    assert outcome.judged == {first: 5.5} and outcome.not_judged == {second: "no weights"} | refused


@pytest.mark.parametrize("below", [False, True])
def test_an_output_folder_that_cannot_be_written_to(plan, tmp_path, below):
    (tmp_path / "out").write_text("a file")
    planned = plan(["c3a"], folder="out/inside" if below else "out")
    with pytest.raises(sweeps.SweepError, match="cannot write in .*; give another output folder"):
        sweeps.run_sweep(planned)


def test_options_that_exclude_each_other(plan):
    with pytest.raises(sweeps.SweepError, match="gpus=0.5 is the share of a run on a cluster"):
        sweeps.run_sweep(plan(["c3a"]), gpus=0.5)
    with pytest.raises(sweeps.SweepError, match="workers=2 is for this machine"):
        sweeps.run_sweep(plan(["c3a"]), workers=2, ray="auto")


def test_a_plan_with_fewer_rows_or_seeds_keeps_the_others_in_the_table(tmp_path):
    def cells(**options) -> set:
        plan = recipes.plan_table("cdvft-1", "smoke", output_dir=tmp_path, **options)
        path = record.write_plan(plan, tmp_path)
        return {(c["row"], c["seed"]) for c in json.loads(path.read_text())["cells"]}

    rows = {row.name for row in recipes.TABLES["cdvft-1"].rows}
    assert cells(seeds=3) == {(row, seed) for row in rows for seed in range(3)}
    assert cells(seeds=2, rows=["LoRA"]) == {(row, seed) for row in rows for seed in range(3)}
    file = record.write_plan(recipes.plan_table("cdvft-1", "smoke", output_dir=tmp_path, seeds=1), tmp_path)
    listed = [(c["row"], c["column"], c["seed"]) for c in json.loads(file.read_text())["cells"]]
    assert listed == sorted(listed, key=lambda cell: cell[2]) and len(listed) == 3 * len(rows)  # seed by seed
    assert cells(seeds=1, epochs=7) == {(row, 0) for row in rows}  # other settings are another table


WORKER = """
import os, sys, time
from pathlib import Path
from circpeft.sweeps.work import start_worker
parent = os.getpid()
if os.fork() == 0:
    start_worker(parent, 0, Path(sys.argv[1]))
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_a_worker_ends_with_its_parent(processes_of, tmp_path):
    log = tmp_path / "workers.log"
    with subprocess.Popen([sys.executable, "-c", WORKER, str(log)]) as parent:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert parent.poll() is None
            time.sleep(0.05)
        assert processes_of(tmp_path) == [int(log.read_text())]
        parent.kill()
    limit = time.monotonic() + 60
    while processes_of(tmp_path):
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.mark.full
def test_a_killed_sweep_continues_and_ends_like_an_uninterrupted_one(plan, sweep_file, processes_of, tmp_path):
    methods, settings = ["c3a", "lora:r=4"], {"epochs": 6, "seeds": 2}
    file, folder = sweep_file(methods, **settings), tmp_path / "killed"
    command = [sys.executable, "-m", "circpeft", "sweep", str(file), "--output-dir", str(folder), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 600
    while len(list((folder / "results").glob("*.json"))) < 2 or not list((folder / "running").glob("*.json")):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.05)
    process.kill()
    process.wait()
    limit = time.monotonic() + 60
    while processes_of(folder):  # no worker continues without its parent
        assert time.monotonic() < limit
        time.sleep(0.1)
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}
    assert 2 <= len(before) < 4

    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and (lines[-1]["finished"], lines[-1]["skipped"]) == (4 - len(before), len(before))
    assert {line["state"] for line in lines[:-1]} == {"finished"} and len(lines) == 5 - len(before)
    assert before == {path: path.stat().st_mtime_ns for path in before}

    uninterrupted = plan(methods, folder="uninterrupted", **settings)
    sweeps.run_sweep(uninterrupted)
    assert scores(folder) == scores(Path(uninterrupted.cells[0].output_dir)) and len(scores(folder)) == 4
