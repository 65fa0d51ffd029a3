"""Sweeps on a real Ray cluster of this machine: of one node, and of two, one of which is lost in the middle."""

import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from circpeft import results, sweeps
from circpeft.sweeps import cluster

pytest.importorskip("ray")


@pytest.fixture
def one_node():
    """Return the address of a cluster of one node."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


@pytest.mark.full
def test_no_run_is_lost_with_a_node_and_scores_are_those_of_this_machine(plan, two_nodes):
    methods, settings = ["c3a", "lora:r=4", "head"], {"seeds": 2, "epochs": 3}
    planned, ends = plan(methods, **settings), []

    def on_end(done, recipe):
        ends.append(done.name)
        if len(ends) == 1:
            two_nodes.remove_node(two_nodes.second, allow_graceful=False)

    outcome = sweeps.run_sweep(planned, ray=two_nodes.address, on_end=on_end)
    assert sorted(ends) == sorted(outcome.finished) == sorted(cell.name for cell in planned.cells)
    assert not outcome.failed and len(set(ends)) == 6

    here = plan(methods, folder="here", **settings)
    sweeps.run_sweep(here)
    scores = [
        {r.label + str(r.seed): (r.score, r.test_score, r.losses) for r in results.read_all(folder)}
        for folder in (planned.cells[0].output_dir, here.cells[0].output_dir)
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("gpus", [-1.0, 1.5, float("nan")])
def test_an_impossible_share_of_gpus(plan, gpus):
    with pytest.raises(sweeps.SweepError, match="is not a share of GPUs for a run; expected 0 to 1"):
        sweeps.run_sweep(plan(["c3a"]), ray="auto", gpus=gpus)


def test_a_run_must_fit_on_one_node():
    class Cluster:
        @staticmethod
        def nodes():
            one = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}
            return [one, one, {"Alive": False, "Resources": {"CPU": 4.0, "GPU": 8.0}}]

    assert cluster._gpu_share(Cluster, "auto", None) == 1.0 and cluster._gpu_share(Cluster, "auto", 0.5) == 0.5
    with pytest.raises(sweeps.SweepError, match="gpus=2 on one node, .* most GPUs of a node: 1"):
        cluster._gpu_share(Cluster, "auto", 2.0)


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_cluster_of_another_version_is_refused_in_one_line(error):
    def init(**_):
        raise error("Version mismatch: The cluster was started with:\n    Ray: 2.9\n    Python: 3.9")

    with pytest.raises(sweeps.SweepError, match="'auto': Version mismatch: .* with: Ray: 2.9 Python: 3.9$"):
        cluster._connect(SimpleNamespace(init=init), "auto")


def test_a_worker_with_other_code_is_refused(plan):
    [cell] = plan(["c3a"]).cells
    with pytest.raises(RuntimeError, match="expected other; install the same commit on every node"):
        cluster.work_remotely(cell, "other")
    assert not Path(cell.output_dir).exists()


@pytest.mark.full
def test_a_run_on_a_cluster_scores_as_on_this_machine_and_its_record_comes_back(plan, one_node, one_thread):
    [cell] = plan(["head"], folder="here", epochs=1).cells
    done = cluster.work_remotely(cell, results.code_version())
    assert done.record == results.path_of(cell.name, cell.output_dir).read_text()
    outcome = sweeps.run_sweep(plan(["head"], epochs=1), ray=one_node)
    assert len(outcome.finished) == 1 and not outcome.failed
    [here], [there] = (results.read_all(folder) for folder in (cell.output_dir, outcome.folder))
    assert (here.score, here.test_score, here.losses) == (there.score, there.test_score, there.losses)


@pytest.mark.parametrize("address", ["10.0.0.1", "nonsense:port", "ray://"])
def test_an_address_that_cannot_be_parsed(plan, address):
    with pytest.raises(ValueError, match="is not host:port; expected auto, local or one such as 10.0.0.1:6379"):
        sweeps.run_sweep(plan(["c3a"]), ray=address)


def test_an_address_that_does_not_answer(plan):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(
        ValueError, match=f"no Ray cluster answers at '127.0.0.1:{port}'.*ray start --head --port {port}"
    ):
        sweeps.run_sweep(plan(["c3a"]), ray=f"127.0.0.1:{port}")
    assert time.monotonic() - started < 40  # Ray itself tries for a minute


def test_without_a_cluster_auto_says_how_to_start_one(plan, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ValueError, match="no Ray cluster answers at 'auto'.*ray start --head"):
        sweeps.run_sweep(plan(["c3a"]), ray="auto")
