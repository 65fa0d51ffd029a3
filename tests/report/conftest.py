"""Made-up records in the format of real runs, so that tests of their readers need no training."""

import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from circpeft import files, results
from circpeft.results import Failure, Result


def made_up(
    task="sst2",
    label="lora:r=8",
    seed=0,
    test_score=0.9,
    parameters=294_912,
    model="FacebookAI/roberta-base",
    metric="accuracy",
    peak_bytes=13_750_000_000,
    flops=(2.6e8, 2.5e8),
    rank=8,
    long=20,
    computation=None,
    unadapted=None,
    **settings,
) -> Result:
    """Return a record with these numbers and otherwise realistic values; `long` is the length of its lists."""
    draw = random.Random(f"{task} {label} {seed}")
    method, *options = label.split(":")
    spectrum = sorted((draw.random() for _ in range(rank)), reverse=True) + [0.0] * (max(long, rank) - rank)
    return Result(
        task=task,
        method=method,
        label=label,
        seed=seed,
        metric=metric,
        score=test_score + 0.01,
        test_score=test_score,
        start_score=0.5,
        best_epoch=2,
        trainable_parameters=parameters,
        head_parameters=1_538,
        seconds=100.0 + seed,
        tokens_per_second=2_000.0,
        flops_per_token=flops[0],
        base_flops_per_token=flops[1],
        peak_bytes=peak_bytes,
        rows={"train": 1000, "validation": 100, "test": 100},
        split="test: as published",
        settings={
            "task": task,
            "method": method,
            "model": model,
            "hyperparameters": dict(option.split("=") for option in options),
            "target_modules": ["query", "value"],
            "seed": seed,
            **settings,
        },
        device="CPU, 2 threads",
        versions={"python": "3.11"},
        commit="0123456789ab",
        code="abcdef012345",
        data="fedcba543210",
        finished="2026-01-02T03:04:05+00:00",
        epochs=[{"epoch": n, "score": draw.random(), "loss": draw.random()} for n in (1, 2, 3)],
        losses=[{"epoch": n / long, "loss": draw.random()} for n in range(long)],
        spectra={"encoder.layer.0.query": spectrum, "encoder.layer.11.value": spectrum},
        predictions=[draw.randrange(2) for _ in range(4 * long)],
        start_predictions=[0] * 8,
        computation=computation or {},
        unadapted=unadapted or {},
    )


@dataclass
class Folder:
    """An output folder of made-up runs, and the file of a sweep over them."""

    path: Path
    cells: list[dict] = field(default_factory=list)
    left_out: list[dict] = field(default_factory=list)

    def finished(self, name: str, **values) -> Path:
        return results.write(made_up(**values), results.path_of(name, self.path))

    def failed(self, name: str, error="OutOfMemoryError: no room", **values) -> Path:
        settings = made_up(**values).settings
        trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nOutOfMemoryError: no room'
        place = {"device": "GPU", "versions": {}, "commit": "0123456789ab", "code": "ab", "finished": "2026-01-02"}
        return results.write(Failure(name, settings, error, trace, **place), results.failure_path(name, self.path))

    def cell(self, row, column, name, seed=0, task="sst2", label="lora:r=8", printed_task=True) -> None:
        values = {"row": row, "column": column, "task": task, "printed_task": printed_task}
        self.cells.append({**values, "label": label, "seed": seed, "run": name})

    def scored(self, row, column, scores, state="finished", **values) -> None:
        """Add a finished run per seed to one cell, with these test scores."""
        printed_task = values.pop("printed_task", True)
        for seed, score in enumerate(scores):
            label, task = values.get("label", "lora:r=8"), values.get("task", "sst2")
            name = "".join(c if c.isalnum() else "-" for c in f"{task} {label} {row} {column} {seed}")
            self.cell(row, column, name, seed, task, label, printed_task)
            self.finished(name, test_score=score, seed=seed, **values)

    def sweep(self, table="cdvft-1", statistic="median", printed_model=True, **changes) -> Path:
        data = {"schema": 1, "name": table, "table": table, "profile": "paper", "seeds": 5, "statistic": statistic}
        data |= {"printed_model": printed_model, "started": "2026-01-02T03:04:05+00:00", "commit": "0123456789ab"}
        data |= {"code": "abcdef012345", "cells": self.cells, "left_out": self.left_out, **changes}
        path = self.path / "sweeps" / f"{data['name']}.json"
        files.write_atomically(path, json.dumps(data))
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "runs" / "one")


@pytest.fixture
def record():
    """Return a function that gives the values of a record as in its file."""
    return lambda **values: asdict(made_up(**values))
