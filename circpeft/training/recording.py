"""The record of a run that has trained, and its trained weights."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from .. import memory, results
from ..files import explained, sync_tree, write_atomically
from ..hf_peft import unadapted_experts
from ..method_specs import reads_targets
from ..recipes import Recipe
from ..results import Result
from . import chat, distributed, weight_changes
from .exact_trainer import check_finite
from .kernel_ranks import kernel_ranks
from .loop import Trained
from .preparation import Prepared
from .saving import save_weights
from .spectra import spectrum
from .throughput import tokens_per_second


def record(prepared: Prepared, trained: Trained) -> Result:
    """Write the trained weights and the record of a run, and remove its checkpoints, in this order.

    Each is on the disk before the next begins, so that a record has its weights, also after a power cut.

    Every process calls this, and all get the record that the first one writes. TensorBoard's log is kept under
    ``<output_dir>/logs``.

    Raises: FloatingPointError if the training diverged.
    """
    recipe, process = prepared.recipe, distributed.state()
    result = _result(prepared, trained)
    result.weights = distributed.from_first(save_weights(prepared, trained))
    if process.is_main_process:
        _write_weight_changes(recipe, trained)
        _keep_log(recipe, prepared.checkpoints / "runs")
        results.write(result, results.path_of(recipe.name, recipe.output_dir))  # the run counts as finished from here
        for folder in prepared.checkpoint_folders:
            shutil.rmtree(folder, ignore_errors=True)
    process.wait_for_everyone()
    return result


def _keep_log(recipe: Recipe, tensorboard: Path) -> None:
    """Copy TensorBoard's log, which lies beside the checkpoints, to its place."""
    if tensorboard.is_dir():
        target = Path(recipe.output_dir) / "logs" / recipe.name
        with explained(target):
            shutil.copytree(tensorboard, target, dirs_exist_ok=True)
            sync_tree(target)


def _write_weight_changes(recipe: Recipe, trained: Trained) -> None:
    """Write the file of weight changes; without one, delete that of an earlier run under this name."""
    path = Path(recipe.output_dir) / weight_changes.path_of(recipe.name)
    if trained.weight_changes:
        write_atomically(path, trained.weight_changes)
    else:
        path.unlink(missing_ok=True)


def _result(prepared: Prepared, trained: Trained) -> Result:
    """Return the record, the same on all processes."""
    recipe, task, kind, process = prepared.recipe, prepared.task, prepared.kind, distributed.state()
    epochs = _epochs(trained, recipe)  # first: if the training diverged, the weights have no singular values
    spectra = {name: spectrum(trained.trainer.model, name, w) for name, w in trained.initial_weights.items()}
    tested = _tested(epochs, recipe)
    predictions = kind.predictions(task, trained.test.predictions)
    train = prepared.encoded["train"]
    result = Result(
        task=recipe.task,
        method=recipe.method,
        label=recipe.label,
        seed=recipe.seed,
        metric=task.metric,
        score=tested["score"],
        test_score=trained.test.metrics["test_score"],
        start_score=trained.baseline.score,
        best_epoch=tested["epoch"],
        trainable_parameters=trained.trainable_parameters,
        head_parameters=trained.head_parameters,
        seconds=trained.seconds,
        tokens_per_second=tokens_per_second(kind, train, prepared.config, recipe, trained.step_seconds),
        flops_per_token=trained.baseline.flops,
        base_flops_per_token=trained.baseline.base_flops,
        peak_bytes=max(distributed.gather(memory.peak_bytes(process.device))),
        rows={split: len(rows) for split, rows in prepared.encoded.items()},
        split=prepared.rows.split,
        settings=recipe.settings,
        data=prepared.rows.fingerprint,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        epochs=epochs,
        losses=[{"epoch": e["epoch"], "loss": e["loss"]} for e in trained.trainer.state.log_history if "loss" in e],
        groups=_group_scores(task, prepared.rows.data["test"], predictions),
        other_scores=_other_scores(task, prepared.rows.data["test"], predictions),
        spectra=spectra,
        kernel_ranks=kernel_ranks(trained.trainer.model),
        predictions=predictions[: kind.predictions_kept],
        start_predictions=trained.baseline.predictions,
        computation=trained.computation,
        weight_changes=weight_changes.path_of(recipe.name) if trained.weight_changes else "",
        chat_template=chat.used(recipe, prepared.processor) if task.kind == "instructions" else None,
        unadapted=unadapted_experts(trained.trainer.model) if reads_targets(recipe.method) else {},
        **results.environment(device_name()),
    )
    return Result(**distributed.from_first(asdict(result)))  # clocks differ between processes


def _epochs(trained: Trained, recipe: Recipe) -> list[dict]:
    """Return validation score and loss after each epoch; nothing if there is no validation split.

    Raises: FloatingPointError if those of the tested epoch, or of the test split, are not finite.
    """
    evaluations = [entry for entry in trained.trainer.state.log_history if "eval_score" in entry]
    epochs = [{"epoch": round(e["epoch"]), "score": e["eval_score"], "loss": e["eval_loss"]} for e in evaluations]
    tested = _tested(epochs, recipe)
    values = {f"validation {name}": tested[name] for name in ("score", "loss")} if epochs else {}
    values |= {f"test {name}": trained.test.metrics[f"test_{name}"] for name in ("score", "loss")}
    check_finite(values)
    return epochs


def _tested(epochs: list[dict], recipe: Recipe) -> dict:
    """Return the entry of the epoch that the recipe tests."""
    if not epochs:
        return {"epoch": recipe.epochs, "score": None}
    return epochs[-1] if recipe.tested_epoch == "last" else max(epochs, key=lambda epoch: epoch["score"])


def _group_scores(task: Any, test: Dataset, predictions: list) -> dict[str, float]:
    """Return the test score within each group of rows; empty if the task or its data has no groups."""
    if not predictions or task.group not in test.column_names:
        return {}
    # A group may be a class, or None in some rows.
    names = [task.labels[value] if task.group == "label" else str(value) for value in test[task.group]]
    members: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        members.setdefault(name, []).append(row)
    labels = test["label" if "label" in test.column_names else task.answer_column]
    return {
        name: task.score([labels[i] for i in rows], [predictions[i] for i in rows])
        for name, rows in sorted(members.items())
    }


def _other_scores(task: Any, test: Dataset, predictions: list) -> dict[str, float]:
    """Return the test scores by other rules than the task's; empty for tasks without generated answers."""
    return task.other_scores(list(test[task.answer_column]), predictions) if task.kind == "instructions" else {}


def device_name() -> str:
    """Return the name of the device that runs here, as records have it, and the number of processes if several."""
    kind, processes = distributed.state().device.type, distributed.state().num_processes
    names = {"cuda": torch.cuda.get_device_name, "cpu": lambda: f"CPU, {torch.get_num_threads()} threads"}
    name = names.get(kind, kind.upper)()
    if processes == 1:
        return name
    return f"{name}, {processes} processes{' (FSDP)' if distributed.sharded() else ''}"
