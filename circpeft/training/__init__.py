"""The one training path: a recipe goes in, a record comes out, on transformers' Trainer."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from datasets import DatasetDict
from peft import PeftModel
from transformers import set_seed

from .. import memory, methods, models, results, tasks
from ..recipes import Recipe
from ..results import Result
from ..resume import Clock, last_checkpoint
from . import base_model, images, instructions, measured, text, trainer
from .spectra import spectrum, watched

# What differs between the kinds of tasks: model class, processor, encoding, Trainer.
KINDS: dict[str, ModuleType] = {"text": text, "images": images, "instructions": instructions}
# Of the test split's predictions that a record keeps: all class numbers, and so many of texts.
TEXTS_KEPT, BEFORE_KEPT = 200, 20


def check(recipes: list[Recipe]) -> None:
    """Raise for anything wrong with any of the recipes before the first one trains.

    The data is read and checked, the model folder looked into, and every method applied to the model's architecture
    without its weights (on torch's meta device), which tries hyperparameters, target modules and block sizes.

    Raises: ValueError, TypeError or FileNotFoundError that names the value and the nearest valid choice.
    """
    for recipe in recipes:
        _check_settings(recipe)
    known, tried = {}, set()
    for recipe in recipes:
        source = (recipe.task, recipe.data_dir)
        if source not in known:
            data, _ = tasks.load(*source, recipe.max_train)
            known[source] = tasks.get(recipe.task).with_labels_of(data)
        key = (*source, recipe.model, recipe.label, recipe.target_modules)
        if key not in tried:
            _try(recipe, known[source])
        tried.add(key)


def _check_settings(recipe: Recipe) -> None:
    methods.check(recipe.method, recipe.options)
    tasks.get(recipe.task)
    models.resolve(recipe.model)
    base_model.check(recipe)
    trainer.check(recipe)


def _try(recipe: Recipe, task: tasks.AnyTask) -> None:
    kind, folder = KINDS[task.kind], models.resolve(recipe.model)
    with models.hub_errors(recipe.model):  # the config first: of a missing processor transformers tells no cause
        config = base_model.config_of(recipe, task, kind, folder)
        kind.processor(folder)
    with torch.device("meta"):
        model = kind.AUTO.from_config(config)
    with torch.random.fork_rng():  # some methods draw projections, and BOFT cannot on the meta device
        methods.apply(model, **_method(recipe))


def data_of(recipe: Recipe) -> tuple[DatasetDict, str, str]:
    """The rows that a recipe trains and is scored on, how they were split, and their fingerprint.

    Raises: whatever `tasks.load` raises.
    """
    data, split = tasks.load(recipe.task, recipe.data_dir, recipe.max_train)
    for part in ("validation", "test"):
        data[part] = tasks.splits.first_rows(data[part], recipe.max_eval)
    return data, split, tasks.splits.digest(data)


def recorded(recipe: Recipe, rows: str) -> Result | None:
    """The record of a recipe under the present code and the data of this fingerprint, or None.

    Raises: ValueError for a file in its place that is not a record, naming it.
    """
    path = results.path_of(recipe.name, recipe.output_dir)
    if path.exists() and (known := results.read(path)) and (known.code, known.data) == (results.code_version(), rows):
        return known
    return None


def run(recipe: Recipe) -> Result:
    """Train by a recipe, choose the best epoch on validation, and record it.

    A run whose record exists under the same settings, code and data is read, not repeated; an interrupted one goes on
    from its last finished epoch. The adapter is saved under ``<output_dir>/adapters``, TensorBoard's log, where one is
    asked for, under ``<output_dir>/logs``.

    Raises: whatever `check` raises, before any training.

    >>> run(Recipe("entailment", "c3a", epochs=0))
    Traceback (most recent call last):
    ...
    ValueError: epochs must be an integer of at least 1, got 0
    """
    path = results.path_of(recipe.name, recipe.output_dir)
    if not path.exists():  # a record is read on machines, too, that could not make it
        _check_settings(recipe)
    data, split, rows = data_of(recipe)
    if (known := recorded(recipe, rows)) is not None:
        return known
    code, task = results.code_version(), tasks.get(recipe.task).with_labels_of(data)
    _check_settings(recipe)
    _try(recipe, task)
    kind, folder = KINDS[task.kind], models.resolve(recipe.model)
    processor, config = kind.processor(folder), base_model.config_of(recipe, task, kind, folder)
    encoded = kind.encode(data, task, processor, config, recipe)

    memory.reset_peak()
    set_seed(recipe.seed)
    base = base_model.load(recipe, kind, folder, config)
    if getattr(base.config, "pad_token_id", None) is None and hasattr(processor, "pad_token_id"):
        base.config.pad_token_id = processor.pad_token_id
    head = methods.head_names(base)
    before = watched(base, recipe)
    model = methods.apply(base, **_method(recipe))
    trained = methods.trainable_parameters(model, head)  # LaMDA freezes some of them on its way

    checkpoints = Path(recipe.output_dir) / "checkpoints" / f"{recipe.name}-{code}-{rows}"
    with trainer.deterministic(recipe):
        training = trainer.make(recipe, task, kind, processor, model, head, encoded, checkpoints)
        with torch.random.fork_rng():  # the order of the training data is to depend on the seed alone
            start = training.predict(encoded["test"], metric_key_prefix="test")
            flops, base_flops = measured.flops_per_token(training, model, kind, recipe)
        clock = Clock()
        training.add_callback(clock)
        if recipe.method == "lamda":
            training.add_callback(methods.FreezeSecondProjections(model))
        training.train(resume_from_checkpoint=last_checkpoint(checkpoints))
        seconds = clock.seconds
        prediction = training.predict(encoded["test"], metric_key_prefix="test")

    log = training.state.log_history
    ends = [entry for entry in log if "eval_score" in entry]
    epochs = [{"epoch": round(e["epoch"]), "score": e["eval_score"], "loss": e["eval_loss"]} for e in ends]
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
        start_score=start.metrics["test_score"],
        best_epoch=best["epoch"],
        trainable_parameters=trained,
        head_parameters=sum(methods.trainable_parameters(base.get_submodule(name)) for name in head),
        seconds=seconds,
        tokens_per_second=measured.tokens_per_second(kind, encoded["train"], config, recipe, clock.stepping),
        flops_per_token=flops,
        base_flops_per_token=base_flops,
        peak_bytes=memory.peak_bytes(),
        rows={name: len(part) for name, part in encoded.items()},
        split=split,
        settings=recipe.settings,
        data=rows,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        epochs=epochs,
        losses=[{"epoch": e["epoch"], "loss": e["loss"]} for e in log if "loss" in e],
        groups=_group_scores(task, data["test"], predicted),
        spectra={name: spectrum(model, name, weight) for name, weight in before.items()},
        predictions=predicted if task.kind != "instructions" else predicted[:TEXTS_KEPT],
        start_predictions=kind.predictions(task, start.predictions)[:BEFORE_KEPT],
        **results.environment(_device_name()),
    )
    if isinstance(model, PeftModel):
        methods.finish(model).save_pretrained(Path(recipe.output_dir) / "adapters" / recipe.name)
    results.write(result, path)
    if (checkpoints / "runs").is_dir():  # TensorBoard's
        shutil.copytree(checkpoints / "runs", Path(recipe.output_dir) / "logs" / recipe.name, dirs_exist_ok=True)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return result


def _method(recipe: Recipe) -> dict:
    return {"method": recipe.method, "target_modules": recipe.target_modules or None, **recipe.options}


def _group_scores(task: Any, rows: Any, predicted: list) -> dict[str, float]:
    if not predicted or task.group not in rows.column_names:
        return {}
    groups = [task.labels[g] if task.kind == "images" else str(g) for g in rows[task.group]]  # some rows may have None
    members = {name: [i for i, g in enumerate(groups) if g == name] for name in sorted(set(groups))}
    labels = rows["label" if "label" in rows.column_names else task.answer_column]
    return {name: task.score([labels[i] for i in at], [predicted[i] for i in at]) for name, at in members.items()}


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
