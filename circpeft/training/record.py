"""The record of a run that has trained."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer
from transformers.trainer_utils import PredictionOutput

from .. import memory, results
from ..recipes import Recipe
from ..results import Result
from . import distributed
from .baseline_eval import Before

# Of the test split's predictions that a record keeps: all class numbers, and so many of texts.
TEXTS_KEPT = 200


def made(
    recipe: Recipe,
    task: Any,
    kind: ModuleType,
    training: Trainer,
    prediction: PredictionOutput,
    test: Dataset,
    before: Before,
    epochs: list[dict],
    **measured: Any,
) -> Result:
    """The record, alike on all processes; ``measured`` are the fields that it cannot tell from the others, ``epochs``
    what `epochs_of` gave.
    """
    log = training.state.log_history
    best = max(epochs, key=lambda epoch: epoch["score"])
    predicted = kind.predictions(task, prediction.predictions)
    result = Result(
        task=recipe.task,
        method=recipe.method,
        label=recipe.label,
        seed=recipe.seed,
        metric=task.metric,
        score=best["score"],
        test_score=prediction.metrics["test_score"],
        start_score=before.score,
        best_epoch=best["epoch"],
        flops_per_token=before.flops,
        base_flops_per_token=before.base_flops,
        peak_bytes=max(distributed.gathered(memory.peak_bytes())),
        settings=recipe.settings,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        epochs=epochs,
        losses=[{"epoch": e["epoch"], "loss": e["loss"]} for e in log if "loss" in e],
        groups=_group_scores(task, test, predicted),
        predictions=predicted if task.kind != "instructions" else predicted[:TEXTS_KEPT],
        start_predictions=before.predictions,
        **measured,
        **results.environment(device_name()),
    )
    return Result(**distributed.decided(asdict(result)))  # clocks differ


def epochs_of(training: Trainer, prediction: PredictionOutput) -> list[dict]:
    """Validation score and loss after each epoch.

    Raises: FloatingPointError where those of the best one, or of the test split, are no numbers.
    """
    ends = [entry for entry in training.state.log_history if "eval_score" in entry]
    epochs = [{"epoch": round(e["epoch"]), "score": e["eval_score"], "loss": e["eval_loss"]} for e in ends]
    best = max(epochs, key=lambda epoch: epoch["score"])
    found = {"validation score": best["score"], "validation loss": best["loss"]}
    found |= {f"test {name}": prediction.metrics[f"test_{name}"] for name in ("score", "loss")}
    for what, value in found.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the {what} is {value}: the training diverged; lower its learning_rate")
    return epochs


def _group_scores(task: Any, rows: Any, predicted: list) -> dict[str, float]:
    if not predicted or task.group not in rows.column_names:
        return {}
    groups = [task.labels[g] if task.kind == "images" else str(g) for g in rows[task.group]]  # some rows may have None
    members = {name: [i for i, g in enumerate(groups) if g == name] for name in sorted(set(groups))}
    labels = rows["label" if "label" in rows.column_names else task.answer_column]
    return {name: task.score([labels[i] for i in at], [predicted[i] for i in at]) for name, at in members.items()}


def device_name() -> str:
    """The device that runs here, as records name it, and how many processes have one each."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    processes = distributed.state().num_processes
    if processes == 1:
        return name
    return f"{name}, {processes} processes{' (FSDP)' if distributed.sharded() else ''}"
