"""The one training path: a recipe goes in, a record comes out, on transformers' Trainer."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from datasets import DatasetDict
from transformers import TrainerCallback, set_seed

from .. import memory, methods, models, results, tasks
from ..method_specs import get_spec
from ..recipes import Recipe
from ..results import Result
from ..resume import Clock, last_checkpoint
from . import base_model, baseline_eval, distributed, images, instructions, record, text, throughput, trainer
from .base_model import weights_of as weights_of
from .gradient_warning import WarnOfUnreached
from .record import device_name as device_name
from .spectra import spectrum, watched

# What differs between the kinds of tasks: model class, processor, encoding, Trainer.
KINDS: dict[str, ModuleType] = {"text": text, "images": images, "instructions": instructions}


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
    distributed.check(recipe)


def _try(recipe: Recipe, task: tasks.AnyTask) -> None:
    kind, folder = KINDS[task.kind], models.resolve(recipe.model)
    with models.hub_errors(recipe.model):  # the config first: of a missing processor transformers tells no cause
        config = base_model.config_of(recipe, task, kind, folder)
        kind.processor(folder)
    base_model.outline(recipe, kind, config)


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


def run(recipe: Recipe, callbacks: Iterable[TrainerCallback] = ()) -> Result:
    """Train by a recipe, choose the best epoch on validation, and record it.

    A run whose record exists under the same settings, code and data is read, not repeated; an interrupted one goes on
    from its last finished epoch. The adapter is saved under ``<output_dir>/adapters``, the model of a method that
    trains its own weights under ``<output_dir>/models``, TensorBoard's log, where one is asked for, under
    ``<output_dir>/logs``. ``callbacks`` are the Trainer's, for those who want to follow the run.

    Under ``torchrun`` or ``accelerate launch`` (FSDP included) every process calls this, and all return the one record
    that the first of them writes. The recipe's batch is that of all processes together, so that the steps, losses and
    scores are those of one process.

    Raises: whatever `check` raises, before any training.

    >>> run(Recipe("entailment", "c3a", epochs=0))
    Traceback (most recent call last):
    ...
    ValueError: epochs must be an integer of at least 1, got 0
    """
    path, process = results.path_of(recipe.name, recipe.output_dir), distributed.state()
    if not path.exists():  # a record is read on machines, too, that could not make it
        _check_settings(recipe)
    with process.local_main_process_first():  # what it downloads and caches, the others on its host find
        data, split, rows = data_of(recipe)
    code, task = results.code_version(), tasks.get(recipe.task).with_labels_of(data)
    distributed.agree("recipe, code or data", f"{recipe.name} {code} {rows}")
    if (known := distributed.decided(recorded(recipe, rows) if process.is_main_process else None)) is not None:
        return known
    _check_settings(recipe)
    _try(recipe, task)
    kind, folder = KINDS[task.kind], models.resolve(recipe.model)
    processor, config = kind.processor(folder), base_model.config_of(recipe, task, kind, folder)
    with process.local_main_process_first():
        encoded = kind.encode(data, task, processor, config, recipe)
    whole = Path(recipe.output_dir) / "checkpoints" / f"{recipe.name}-{code}-{rows}"
    parts = whole.with_name(f"{whole.name}-fsdp")  # the one kind of run cannot go on from the other's checkpoints
    checkpoints = parts if distributed.sharded() else whole
    distributed.share_folder(checkpoints)

    distributed.load_everywhere()
    memory.reset_peak()
    set_seed(recipe.seed)
    base = base_model.load(recipe, kind, folder, config)
    if getattr(base.config, "pad_token_id", None) is None and hasattr(processor, "pad_token_id"):
        base.config.pad_token_id = processor.pad_token_id
    head = methods.head_names(base)
    weights = watched(base, recipe)
    model = base_model.adapted(base, recipe)
    trained = methods.trainable_parameters(model, head)  # LaMDA freezes some of them on its way
    trained_head = sum(methods.trainable_parameters(base.get_submodule(name)) for name in head)

    with trainer.deterministic(recipe):
        training = trainer.make(recipe, task, kind, processor, model, head, encoded, checkpoints)
        # A model that was looked at is not wrapped any more for several processes: each would train for itself.
        first, clock = baseline_eval.LookFirst(training, task, kind, recipe, encoded["test"]), Clock()
        if not distributed.shared():
            first.look()
        for callback in (*([first] if distributed.shared() else []), clock, *callbacks):
            training.add_callback(callback)
        spec = get_spec(recipe.method)
        if spec.trains_adapter:
            training.add_callback(WarnOfUnreached())
        for callback in spec.callbacks(model):
            training.add_callback(callback)
        training.train(resume_from_checkpoint=distributed.decided(last_checkpoint(checkpoints)))
        seconds = clock.seconds
        prediction = training.predict(encoded["test"], metric_key_prefix="test")

    epochs = record.epochs_of(training, prediction)  # first: of weights that are no numbers there are no spectra
    result = record.made(
        recipe,
        task,
        kind,
        training,
        prediction,
        data["test"],
        first.seen,
        epochs,
        trainable_parameters=trained,
        head_parameters=trained_head,
        seconds=seconds,
        tokens_per_second=throughput.tokens_per_second(kind, encoded["train"], config, recipe, clock.stepping),
        rows={name: len(part) for name, part in encoded.items()},
        split=split,
        data=rows,
        spectra={name: spectrum(model, name, weight) for name, weight in weights.items()},
    )
    trainer.save(training, processor, recipe)
    if process.is_main_process:
        results.write(result, path)
        if (checkpoints / "runs").is_dir():  # TensorBoard's
            shutil.copytree(checkpoints / "runs", Path(recipe.output_dir) / "logs" / recipe.name, dirs_exist_ok=True)
        for folder in (whole, parts):
            shutil.rmtree(folder, ignore_errors=True)
    process.wait_for_everyone()
    return result
