"""lm-evaluation-harness: an adapter scores like its merged model, in Python and through `circpeft exec lm_eval`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

lm_eval = pytest.importorskip("lm_eval")
lm_eval_tasks = pytest.importorskip("lm_eval.tasks")
datasets = pytest.importorskip("datasets")

TASK = """
task: circles
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
# The log-likelihoods of a choice, as summed over its tokens, in different batches.
CLOSE = 1e-3


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory) -> Path:
    """Return the folder of a task, `circles`: 24 questions with three choices each."""
    folder = tmp_path_factory.mktemp("task")
    pairs = [(first, second) for first in "abcdef" for second in "ghij"]
    rows = [{"question": f"{a} and {b}", "choices": ["one", "two", "six"]} for a, b in pairs]
    lines = [json.dumps({**row, "answer": 7 * i % 3}) for i, row in enumerate(rows)]
    (folder / "test.jsonl").write_text("\n".join(lines))
    (folder / "circles.yaml").write_text(TASK.format(rows=folder / "test.jsonl"))
    return folder


@pytest.fixture
def evaluate(task_folder, tmp_path, monkeypatch):
    """Return a function that evaluates a model in this process: its accuracy, and every choice's log-likelihood."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def run(**model: str) -> tuple[float, list[float]]:
        tasks = lm_eval_tasks.TaskManager(include_path=str(task_folder), include_defaults=False)
        arguments = {"device": "cpu", "batch_size": 8, "task_manager": tasks, "bootstrap_iters": 0}
        found = lm_eval.simple_evaluate(model="hf", model_args=model, tasks=["circles"], **arguments)
        return found["results"]["circles"]["acc,none"], likelihoods(found["samples"]["circles"])

    return run


def likelihoods(samples: list[dict]) -> list[float]:
    rows = sorted(samples, key=lambda sample: sample["doc_id"])
    values = [float(choice[0]) for row in rows for choice in row["filtered_resps"]]
    assert len(values) == 72
    return values


def test_an_adapter_scores_like_its_merged_model_and_not_like_its_base(llama_adapter, evaluate, tmp_path):
    accuracy, choices = evaluate(pretrained=llama_adapter.base, peft=llama_adapter.folder)
    merged_accuracy, merged = evaluate(pretrained=llama_adapter.merge(tmp_path / "merged"))
    base_accuracy, base = evaluate(pretrained=llama_adapter.base)
    assert accuracy == merged_accuracy != base_accuracy
    assert choices == pytest.approx(merged, abs=CLOSE) and base != pytest.approx(merged, abs=1.0)


@pytest.mark.full
def test_the_command_lm_eval_scores_the_same_through_exec(save_adapter, methods, evaluate, task_folder, tmp_path):
    adapter = save_adapter(methods[-1])  # one method, because the command takes long to start
    model = {"pretrained": adapter.base, "peft": adapter.folder}
    options = ["--model", "hf", "--model_args", ",".join(f"{key}={value}" for key, value in model.items())]
    options += ["--tasks", "circles", "--include_path", str(task_folder), "--device", "cpu", "--batch_size", "8"]
    options += ["--output_path", str(tmp_path / "out"), "--log_samples"]
    done = subprocess.run(
        [sys.executable, "-m", "circpeft", "exec", "lm_eval", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    [written] = (tmp_path / "out").rglob("results_*.json")
    [samples] = (tmp_path / "out").rglob("samples_circles_*.jsonl")
    accuracy, choices = evaluate(**model)
    assert json.loads(written.read_text())["results"]["circles"]["acc,none"] == accuracy
    found = [json.loads(line) for line in samples.read_text().splitlines()]
    assert likelihoods(found) == pytest.approx(choices, abs=CLOSE)
