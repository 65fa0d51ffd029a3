r"""A hundred tiny runs through each runner: none lost, none twice, and the parent's memory flat.

    .venv/bin/python benchmarks/sweeps.py

The runs are MiniLM on 16 pairs of the embedded task, head and C3A with 50 seeds. First they run on this machine, its
worker killed once in the middle; then on a Ray cluster of two nodes, made here, one of which is killed. Writes
benchmarks/results/sweeps.json: what ended, the memory of the parent, and whether both gave the same scores.
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
POINTS = (10, 25, 50, 75, 100)


def resident_mib() -> float:
    """Resident memory of this process, now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def swept(folder: Path, seeds: int, kill, **options) -> tuple[dict, dict]:
    """Run the sweep; what happened, and the scores."""
    file = folder.with_suffix(".toml")
    file.write_text(FILE)
    plan, ends, memory = recipes.plan_file(file, seeds=seeds, output_dir=folder), Counter(), {}
    at_start, killed = resident_mib(), []

    def told(done, recipe):
        ends[done.name] += 1
        if sum(ends.values()) == seeds // 2:
            killed.append(kill())
        if sum(ends.values()) in POINTS:
            memory[sum(ends.values())] = resident_mib()

    outcome = sweeps.run_sweep(plan, told=told, **options)
    found = results.read_all(folder)
    scores = {f"{r.label} {r.seed}": (r.score, r.test_score) for r in found}
    row = {
        "runs": len(plan.cells),
        "finished": len(outcome.finished),
        "failed": len(outcome.failed),
        "records": len(found),
        "ended_twice": sum(count > 1 for count in ends.values()),
        "killed": killed,
        "seconds": round(outcome.seconds, 1),
        "parent_mib_at_start": at_start,
        "parent_mib_after": memory,
    }
    print(json.dumps(row), flush=True)
    return row, scores


def kill_worker() -> str:
    """Kill the worker of this machine."""
    for child in multiprocessing.active_children():
        child.kill()
    return "worker"


def main() -> None:
    parser = argparse.ArgumentParser(description="A hundred tiny runs through the local runner and through Ray.")
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    quiet()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as folder:
        local, here = swept(Path(folder) / "local", seeds, kill_worker)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = cluster.add_node(num_cpus=1)

        def kill_node() -> str:
            cluster.remove_node(second, allow_graceful=False)
            return "node"

        far, there = swept(Path(folder) / "ray", seeds, kill_node, ray=cluster.address)
        cluster.shutdown()
    made = {"local": local, "ray": far, "same_scores": here == there, "finished": time.strftime("%Y-%m-%d")}
    made |= results.environment(device_name())
    files.write_atomically(RECORD, json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
