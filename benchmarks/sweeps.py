r"""Run a hundred tiny runs with each runner: check for lost and repeated runs, and watch the parent's memory.

    .venv/bin/python benchmarks/sweeps.py

The runs are MiniLM on 16 pairs of the embedded task, with the methods head and C3A and 50 seeds. First they run on this
machine, where the worker is killed once halfway. Then they run on a local Ray cluster of two nodes, one of which is
killed. Writes benchmarks/results/sweeps.json: the numbers of runs by outcome, the memory of the parent process, and
whether both runners gave the same scores.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

from circpeft import files, recipes, results, sweeps
from circpeft.training import device_name
from circpeft.training.logging_filters import quiet

RECORD = results.ROOT / "benchmarks" / "results" / "sweeps.json"
FILE = """
profile = "smoke"
tasks = ["entailment"]
methods = ["head", "c3a:block_size=64"]
[settings]
max_train = 16
max_eval = 16
"""
MEMORY_AFTER = (10, 25, 50, 75, 100)  # numbers of ended runs after which the memory is recorded


def resident_mib() -> float:
    """Return the resident memory of this process in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def run_and_count(folder: Path, seeds: int, kill, **options) -> tuple[dict, dict]:
    """Run the sweep, call ``kill`` once halfway, and return the counts and the scores."""
    file = folder.with_suffix(".toml")
    file.write_text(FILE)
    plan, ends, memory = recipes.plan_file(file, seeds=seeds, output_dir=folder), Counter(), {}
    at_start, killed = resident_mib(), []

    def on_end(done, recipe):
        ends[done.name] += 1
        if sum(ends.values()) == seeds // 2:
            killed.append(kill())
        if sum(ends.values()) in MEMORY_AFTER:
            memory[sum(ends.values())] = resident_mib()

    outcome = sweeps.run_sweep(plan, on_end=on_end, **options)
    records = results.read_all(folder)
    scores = {f"{r.label} {r.seed}": (r.score, r.test_score) for r in records}
    row = {
        "runs": len(plan.cells),
        "finished": len(outcome.finished),
        "failed": len(outcome.failed),
        "records": len(records),
        "ended_twice": sum(count > 1 for count in ends.values()),
        "killed": killed,
        "seconds": round(outcome.seconds, 1),
        "parent_mib_at_start": at_start,
        "parent_mib_after": memory,
    }
    print(json.dumps(row), flush=True)
    return row, scores


def kill_worker() -> str:
    """Kill the worker process of the local runner."""
    for child in multiprocessing.active_children():
        child.kill()
    return "worker"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a hundred tiny runs with the local runner and with Ray.")
    parser.add_argument("--seeds", type=int, default=50, help="seeds per method: half the number of runs")
    seeds = parser.parse_args().seeds
    quiet()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as folder:
        local, local_scores = run_and_count(Path(folder) / "local", seeds, kill_worker)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = cluster.add_node(num_cpus=1)

        def kill_node() -> str:
            cluster.remove_node(second, allow_graceful=False)
            return "node"

        ray_row, ray_scores = run_and_count(Path(folder) / "ray", seeds, kill_node, ray=cluster.address)
        cluster.shutdown()
    record = {"local": local, "ray": ray_row, "same_scores": local_scores == ray_scores}
    record |= {"finished": time.strftime("%Y-%m-%d"), **results.environment(device_name())}
    files.write_atomically(RECORD, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
