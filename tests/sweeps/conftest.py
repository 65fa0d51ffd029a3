"""A tiny model, sentences that it can learn, and plans with runs of a second each."""

import itertools
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import datasets
import pytest
import torch

from circpeft import recipes, sweeps
from circpeft.sweeps.work import work

NOUNS = ("actor", "baker", "clerk", "doctor", "editor", "farmer")
WORDS = {"good": 1, "fine": 1, "bad": 0, "poor": 0}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, save_bert) -> str:
    """Return the folder of a BERT with the words of the sentences."""
    return save_bert(tmp_path_factory.mktemp("model"), ["the", "a", "saw", *NOUNS, *WORDS])


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """Return a folder with data for sst2 and, with the same rows, for cola."""
    rows = [
        {"sentence": f"the {a} saw a {word} {b}", "label": label}
        for (word, label), a, b in itertools.product(WORDS.items(), NOUNS, NOUNS)
    ]
    mixed = [rows[i] for i in torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()]
    folder = tmp_path_factory.mktemp("data")
    for task in ("sst2", "cola"):
        (folder / task).mkdir()
        for split, part in (("train", mixed[:64]), ("validation", mixed[64:96]), ("test", mixed[96:])):
            (folder / task / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    return str(folder)


@pytest.fixture
def sweep_file(tiny_model, data, tmp_path):
    """Return a function that writes a sweep file for the tiny model. Keyword arguments are keys or settings."""

    def write(methods: list[str], seeds: int = 1, tasks: tuple[str, ...] = ("sst2",), **settings) -> Path:
        settings = {
            "model": tiny_model,
            "target_modules": "query,value,dense",
            "epochs": 2,
            "batch_size": 16,
        } | settings
        lines = [f"seeds = {seeds}", f"data = {json.dumps(data)}", f"tasks = {json.dumps(list(tasks))}"]
        lines += [f"methods = {json.dumps(methods)}", "[settings]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        path = tmp_path / "mine.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def plan(sweep_file, tmp_path):
    """Return a function that makes a plan for the tiny model, with its records under the test's folder."""

    def make(methods: list[str], seeds: int = 1, folder: str = "out", **settings) -> recipes.Plan:
        return recipes.plan_file(sweep_file(methods, seeds, **settings), output_dir=tmp_path / folder)

    return make


@pytest.fixture
def in_this_process(monkeypatch, tmp_path):
    """Run a sweep's runs in this process, which has imported everything. Their output goes into a file."""

    def run(waiting, workers, log):
        for recipe in list(waiting):
            with (tmp_path / "output.log").open("a") as stream, redirect_stdout(stream), redirect_stderr(stream):
                done = work(recipe)
            yield done

    monkeypatch.setattr(sweeps, "run_locally", run)


@pytest.fixture
def two_nodes(monkeypatch):
    """Return a cluster of two nodes with one processor each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_health_check_period_ms", "500")  # the default is to look less often for dead nodes
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def processes_of():
    """Return a function that lists the processes which have a file of a folder open: workers have their log open."""

    def listed(folder: Path) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/fd"):
            try:
                links = [os.readlink(link) for link in path.iterdir()]
            except OSError:  # the process has ended
                continue
            found += [int(path.parent.name)] if any(link.startswith(str(folder)) for link in links) else []
        return found

    return listed


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Keep tokenised data out of the user's home."""
    folder = str(tmp_path_factory.getbasetemp() / "cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setenv("HF_DATASETS_CACHE", folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
