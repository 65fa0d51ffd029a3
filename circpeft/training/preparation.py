"""What a run needs before it trains: settings are checked, rows are read and encoded, the model's config is loaded."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import DatasetDict
from transformers import PretrainedConfig
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from .. import methods, models, results, tasks
from ..hf_peft.rate_warnings import layer_scales, rate_warning
from ..recipes import Recipe
from ..suggest import nearest
from . import base_model, chat, computed, contradictions, distributed, model_fit, output_folder
from .kinds import KINDS, TaskKind


class Rows(NamedTuple):
    """The rows that a recipe trains and is scored on.

    Attributes:
        data: the splits train, test and, unless the recipe trains on all rows, validation.
        split: a line that says how they were split.
        fingerprint: a hash of the rows.
    """

    data: DatasetDict
    split: str
    fingerprint: str


@dataclass(frozen=True)
class Prepared:
    """A run with checked settings and loaded data. Only the model's weights are missing.

    Attributes:
        recipe: the settings.
        task: the task, with the labels of the data.
        kind: the kind of the task.
        rows: the rows as they were read, with their fingerprint.
        encoded: the rows as inputs of the model.
        folder: what ``from_pretrained`` takes for the base model: a local folder, or a hub id.
        config: the config of the base model, with the task's outputs.
        processor: its tokenizer or image processor.
        code: fingerprint of the code that runs.
        computation: fingerprint of how this process computes.
    """

    recipe: Recipe
    task: tasks.AnyTask
    kind: TaskKind
    rows: Rows
    encoded: DatasetDict
    folder: str
    config: PretrainedConfig
    processor: Any
    code: str
    computation: str

    @property
    def checkpoint_folders(self) -> tuple[Path, Path]:
        """Folders of the checkpoints of an unsharded run, and of one under FSDP. Neither can resume the other's."""
        name = f"{self.recipe.name}-{self.code}-{self.rows.fingerprint}-{self.computation}"
        parent = Path(self.recipe.output_dir) / "checkpoints"
        return parent / name, parent / f"{name}-fsdp"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints of this run."""
        return self.checkpoint_folders[distributed.sharded()]


def check(recipes: list[Recipe]) -> dict[tuple[str, str], str]:
    """Raise for anything wrong with any of the recipes, before the first one trains.

    Each data set is read once and checked. Each method is applied to the model's architecture without its weights (on
    torch's meta device), which checks hyperparameters, target modules and block sizes.

    A learning rate of another scale, such as 0.3 for C3A with ``alpha="lora"``, gives a warning with the rate to try.

    Returns: for each data set (task and data folder) the line that says how it was split, and what is not used.

    Raises: ValueError, TypeError or FileNotFoundError that names the value and the nearest valid choice.
    """
    for recipe in recipes:
        check_settings(recipe)
    labelled_tasks, has_validation, lines, checked = {}, {}, {}, set()
    for recipe in recipes:
        source = (recipe.task, recipe.data_dir, recipe.hold_out)
        if source not in labelled_tasks:
            data, lines[source[:2]] = tasks.load(*source[:2], recipe.max_train, recipe.hold_out)
            labelled_tasks[source] = tasks.get(recipe.task).with_labels_of(data)
            has_validation[source] = "validation" in data
        _check_choice(recipe, has_validation[source])
        of_model = (recipe.model, recipe.chat_template, recipe.target_modules, recipe.target_parameters)
        key = (*source, *of_model, recipe.label, recipe.rates)
        if key not in checked:
            _check_model(recipe, labelled_tasks[source])
        checked.add(key)
    return lines


def check_settings(recipe: Recipe) -> None:
    """Raise for a setting that is wrong whatever the data and the model's layers are; read no data.

    Raises: ValueError or FileNotFoundError that names the value and the nearest valid choice.
    """
    methods.check(recipe.method, recipe.options)
    tasks.get(recipe.task)
    models.resolve(recipe.model, recipe.base_dtype)
    base_model.check(recipe)
    _check_logger(recipe.report_to)
    distributed.check(recipe)
    contradictions.check(recipe)
    if not os.path.exists(results.path_of(recipe.name, recipe.output_dir)):  # a folder of records may be read-only
        output_folder.check(recipe)


def _check_logger(name: str) -> None:
    if name in ("", "none", "all"):
        return
    if name not in INTEGRATION_TO_CALLBACK:
        raise ValueError(f"unknown report_to {name!r}; {nearest(name, INTEGRATION_TO_CALLBACK)}")
    installed = get_available_reporting_integrations()
    if name not in installed:
        raise ValueError(
            f"report_to={name!r} needs a package that is not installed; install it, or choose one of: "
            f"{', '.join([*installed, 'none'])}"
        )


def _check_model(recipe: Recipe, task: tasks.AnyTask) -> int | None:
    """Raise for a model that cannot be used; return the number of its token embeddings.

    Warns of a learning rate that does not suit the scale of the adapters.
    """
    kind, folder = KINDS[task.kind], models.resolve(recipe.model, recipe.base_dtype)
    with models.hub_errors(recipe.model):
        # The config comes first: for a processor that cannot be had, transformers does not name the cause.
        config = base_model.config_of(recipe, task, kind, folder)
        processor = kind.load_processor(folder)
    model, _ = base_model.outline(recipe, kind, config)
    warning = rate_warning(layer_scales(model), recipe.rates[0], recipe.usual_rate)
    if warning is not None and distributed.state().is_main_process:
        warnings.warn(f"{recipe.label}: {warning}", stacklevel=3)
    rows = model_fit.embedding_rows(model)
    if hasattr(processor, "get_vocab"):
        model_fit.check_tokenizer(recipe.model, processor, rows)
    elif task.kind == "images":
        with torch.device("meta"):
            model_fit.check_pictures(recipe.model, processor, kind.model_class.from_config(config))
    chat.check(recipe, task, processor, rows)
    return rows


def _check_choice(recipe: Recipe, has_validation: bool) -> None:
    if recipe.tested_epoch == "best" and not has_validation:
        raise ValueError(
            f"tested_epoch='best' is chosen on validation, and task {recipe.task!r} has no validation split with "
            f"hold_out=False; set hold_out=True, or tested_epoch='last'"
        )


def data_of(recipe: Recipe) -> Rows:
    """Return the rows that a recipe trains and is scored on, how they were split, and their fingerprint.

    Raises: whatever `tasks.load` raises; ValueError if validation should choose the best epoch, but has no rows.
    """
    data, split = tasks.load(recipe.task, recipe.data_dir, recipe.max_train, recipe.hold_out)
    _check_choice(recipe, "validation" in data)
    for part in {"validation", "test"} & set(data):
        data[part] = tasks.splits.first_rows(data[part], recipe.max_eval)
    return Rows(data, split, tasks.splits.digest(data))


def shared_rows(recipe: Recipe) -> Rows:
    """Return a recipe's rows, and make sure that all processes of the run have the same recipe, code and rows.

    Raises: ValueError if they differ; whatever `tasks.load` raises.
    """
    with distributed.state().local_main_process_first():  # it downloads and caches for the others on its host
        rows = data_of(recipe)
    fingerprints = f"{recipe.name} {results.code_version()} {rows.fingerprint} {computed.expected(recipe)}"
    distributed.check_same("recipe, code, data or computation", fingerprints)
    return rows


def prepare(recipe: Recipe, rows: Rows | None = None) -> Prepared:
    """Check a recipe, and load everything that its run needs except for the model's weights.

    Args:
        recipe: the settings.
        rows: its rows from `shared_rows`, if they are at hand; None reads them.

    Raises: whatever `check` raises; ValueError for rows that do not fit into the model.

    >>> prepared = prepare(Recipe("entailment", "c3a", max_train=8, max_eval=4))
    >>> len(prepared.encoded["train"]), prepared.rows.split, prepared.config.num_labels
    (8, 'test: as published', 2)
    """
    check_settings(recipe)
    output_folder.check(recipe)
    rows = rows or shared_rows(recipe)
    task = tasks.get(recipe.task).with_labels_of(rows.data)
    embedding_rows = _check_model(recipe, task)
    kind, folder = KINDS[task.kind], models.resolve(recipe.model, recipe.base_dtype)
    # Loaded once more: a method may have changed the config on which it was tried.
    processor, config = kind.load_processor(folder), base_model.config_of(recipe, task, kind, folder)
    with distributed.state().local_main_process_first():
        encoded = kind.encode(rows.data, task, processor, config, recipe)
    model_fit.check_tokens(recipe.model, processor, embedding_rows, encoded)
    code, computation = results.code_version(), computed.fingerprint(recipe)
    prepared = Prepared(recipe, task, kind, rows, encoded, folder, config, processor, code, computation)
    distributed.make_shared_folder(prepared.checkpoints)
    return prepared
