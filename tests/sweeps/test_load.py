"""200 runs, each of a step: with workers and a node killed in the middle, all are recorded once and nothing is left."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from circpeft import files, report, sweeps

pytestmark = pytest.mark.full

RUNS = int(os.environ.get("CIRCPEFT_LOAD", "200"))
METHODS = ["head", "c3a"]
SMALL = {"epochs": 1, "max_train": 16, "max_eval": 16}


def first(find: Callable[[], list]) -> object:
    """Return the first thing that is found within a minute."""
    limit = time.monotonic() + 60
    while not (found := find()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return found[0]


def check(planned, outcome, ends) -> None:
    """Assert that every run of a plan has ended once and has one record, and that nothing else is left."""
    names = sorted(cell.name for cell in planned.cells)
    assert len(names) == len(set(names)) == RUNS
    assert sorted(ends) == sorted(outcome.finished) == names and not outcome.failed
    folder = outcome.folder
    assert sorted(path.name for path in (folder / "results").glob("*.json")) == [f"{name}.json" for name in names]
    found = report.scan(folder)
    assert len(found.runs) == RUNS and not (found.failures or found.problems or found.left_out)
    assert {cell.state for sweep in found.sweeps for cell in sweep.cells} == {"finished"}
    for draft in folder.rglob("*.part"):  # of a process that was killed; the next one that writes there removes it
        files.remove_leftovers(draft.parent)
    left = [path for path in folder.rglob("*") if path.suffix == ".part" or path.parent.name in ("running", "failed")]
    left += [*folder.glob("checkpoints/*"), *folder.glob(".locks/*.json"), *folder.glob("unreadable/*")]
    assert left == []
    again = sweeps.run_sweep(planned, progress=False)
    assert sorted(again.skipped) == names and not again.finished


def test_runs_on_this_machine_with_workers_killed(plan, processes_of, tmp_path):
    planned, ends, killed = plan(METHODS, seeds=RUNS // 2, **SMALL), [], []
    seconds = {RUNS // 10: 0.0, RUNS * 4 // 10: 0.2, RUNS * 7 // 10: 0.5}  # between the end of a run and the kill

    def on_end(done, recipe):
        ends.append(done.name)
        if len(ends) in seconds:
            time.sleep(seconds[len(ends)])
            killed.append(first(multiprocessing.active_children).pid)
            os.kill(killed[-1], signal.SIGKILL)

    outcome = sweeps.run_sweep(planned, workers=2, progress=False, on_end=on_end)
    print(f"\n{RUNS} runs with 2 workers, {len(killed)} of them killed: {outcome.seconds:.0f} s")
    assert len(killed) == len(seconds) and processes_of(tmp_path) == []
    check(planned, outcome, ends)


def test_runs_on_a_cluster_with_a_worker_and_a_node_killed(plan, two_nodes):
    planned, ends, killed = plan(METHODS, seeds=RUNS // 2, **SMALL), [], []

    def workers() -> list[psutil.Process]:
        return [
            child for child in psutil.Process().children(recursive=True) if "ray::work" in " ".join(_command(child))
        ]

    def on_end(done, recipe):
        ends.append(done.name)
        if len(ends) == RUNS // 5:
            killed.append(first(workers).pid)
            os.kill(killed[-1], signal.SIGKILL)
        if len(ends) == RUNS // 2:
            two_nodes.remove_node(two_nodes.second, allow_graceful=False)

    outcome = sweeps.run_sweep(planned, ray=two_nodes.address, progress=False, on_end=on_end)
    print(f"\n{RUNS} runs on 2 nodes, a worker and a node killed: {outcome.seconds:.0f} s")
    assert len(killed) == 1
    check(planned, outcome, ends)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
