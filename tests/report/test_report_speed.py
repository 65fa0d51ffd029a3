"""5,000 records: the dashboard and each form of the report take less than 5 s of processor time."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from circpeft import cli, report
from circpeft.course import dashboard, repository_runs

pytestmark = pytest.mark.full

SECONDS = 5.0
MODELS = ("FacebookAI/roberta-base", "FacebookAI/roberta-large")
TASKS = ("sst2", "cola", "rte", "mrpc")
METHODS = ("boft:block_size", "c3a:block_size", "cdvft:block_size", "lora:r", "vera:r")
LABELS = [f"{method}={value}" for method in METHODS for value in range(25)]
SEEDS = range(5)
FORMATS = {"markdown": ".md", "csv": ".csv", "json": ".json", "latex": ".tex"}


@pytest.fixture
def limited(capsys):
    """Return a function that limits the processor time of a block. Other programs have little influence on that."""

    @contextmanager
    def block(what: str) -> Iterator[None]:
        start = time.process_time()
        yield
        seconds = time.process_time() - start
        with capsys.disabled():
            print(f"\n{what}: {seconds:.2f} s", end="")
        assert seconds < SECONDS, what

    return block


@pytest.fixture
def many(folder, record):
    """Return a folder of 5,000 records, all in the cells of one sweep: 125 rows, 8 columns and 5 seeds."""
    (folder.path / "results").mkdir(parents=True)
    texts = {}
    for number, (model, task, label) in enumerate(itertools.product(MODELS, TASKS, LABELS)):
        values = record(task=task, label=label, model=model, test_score=0.5 + number / 2000, long=50, epochs=3)
        values["computation"] = {"device": "cuda", "precision": "float32"}
        for seed in SEEDS:
            values |= {"seed": seed, "settings": values["settings"] | {"seed": seed}}
            texts[f"{task}-{number}-s{seed}"] = json.dumps(values, indent=1)
            folder.cell(label, f"{model} {task}", f"{task}-{number}-s{seed}", seed, task, label, printed_task=False)
    for name, text in texts.items():
        (folder.path / "results" / f"{name}.json").write_text(text)
    folder.sweep("", name="mine", statistic="mean")
    return folder.path


def test_the_dashboard_and_the_report_of_5000_records(many, limited, tmp_path, capsys):
    repository = repository_runs.read()
    dashboard.Dashboard(report.empty(tmp_path), repository=repository)  # imports what it needs
    with limited("read the records and show the dashboard"):
        box = dashboard.Dashboard(report.scan(many), repository=repository)
    assert len(box.found.runs) == 5000 + len(repository.runs)
    assert "of which the first 1000 are listed" in box.counts.value
    with limited("choose a task and a method"):
        box.controls["task"].value, box.controls["method"].value = ("rte",), ("lora",)
    chosen = [run for run in box.found.runs if (run.result.task, run.result.method) == ("rte", "lora")]
    assert f"{len(chosen)} of" in box.counts.value and "are listed" not in box.counts.value and len(chosen) >= 250
    with limited("choose the table of a sweep"):
        box.controls["table"].value = "mine"
    assert "lora:r=24" in box.rows.value
    for name, suffix in FORMATS.items():
        with limited(f"report as {name}"):
            assert cli.main(["report", str(many), "--output", str(tmp_path / f"report{suffix}")]) == 0
    with limited("report, the overview"):
        assert cli.main(["report", str(many)]) == 0
    assert "mine, profile paper" in capsys.readouterr().out
