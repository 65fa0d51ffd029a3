"""The Trainer of a run: its arguments, its optimizer, and how exactly it repeats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from datasets import DatasetDict
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from .. import methods
from ..method_specs import get_spec
from ..recipes import Recipe
from ..suggest import nearest
from . import base_model, distributed

# transformers 5 has another name for it, and means to forget the old one.
CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if hasattr(TrainingArguments, name)
)


def check(recipe: Recipe) -> None:
    """Raise ValueError for a logger that transformers does not know, or whose package is not installed."""
    if recipe.report_to in ("", "none", "all"):
        return
    if recipe.report_to not in INTEGRATION_TO_CALLBACK:
        raise ValueError(
            f"unknown report_to {recipe.report_to!r}; {nearest(recipe.report_to, INTEGRATION_TO_CALLBACK)}"
        )
    installed = get_available_reporting_integrations()
    if recipe.report_to not in installed:
        raise ValueError(
            f"report_to={recipe.report_to!r} needs a package that is not installed; install it, or choose one of: "
            f"{', '.join([*installed, 'none'])}"
        )


def make(
    recipe: Recipe,
    task: Any,
    kind: ModuleType,
    processor: Any,
    model: nn.Module,
    head: list[str],
    data: DatasetDict,
    checkpoints: Path,
) -> Trainer:
    """The Trainer of a recipe, evaluated and saved after each epoch."""
    step = recipe.batch_size * recipe.gradient_accumulation
    steps = -(-len(data["train"]) // step) * recipe.epochs
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=distributed.share(recipe.batch_size),
        per_device_eval_batch_size=4 * distributed.share(recipe.batch_size),
        gradient_accumulation_steps=recipe.gradient_accumulation,
        **_checkpointing(recipe),
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        # Where there is nothing else, transformers still refuses bf16, and accelerate several processes, without it.
        use_cpu=distributed.on_cpu() or (recipe.precision == "bf16" and not torch.accelerator.is_available()),
        warmup_steps=round(recipe.warmup * steps),
        lr_scheduler_type="linear",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        greater_is_better=True,
        logging_steps=max(1, steps // 50),
        seed=recipe.seed,
        report_to=recipe.report_to or "none",
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # One process trains on one device: over all that it sees, nn.DataParallel would multiply the batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    _keep_names(model)
    return kind.trainer(
        task,
        processor,
        recipe,
        model=model,
        args=arguments,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        optimizer=partial(_optimizer, recipe, model, head),
    )


def _keep_names(model: nn.Module) -> None:
    # transformers 5 renames some models' weights as it reads them, and saves them under their published names. The
    # Trainer reads its checkpoints by the model's own names: the best epoch of a whole ViT would silently not be read.
    if isinstance(model, PreTrainedModel) and "save_original_format" in signature(model.save_pretrained).parameters:
        model.save_pretrained = partial(model.save_pretrained, save_original_format=False)


def _checkpointing(recipe: Recipe) -> dict[str, Any]:
    if not recipe.gradient_checkpointing:
        return {}
    # The reentrant kind, the default of transformers 4, has no gradient where the embeddings are frozen.
    return {CHECKPOINTING: True, f"{CHECKPOINTING}_kwargs": {"use_reentrant": False}}


def _optimizer(recipe: Recipe, model: nn.Module, head: list[str]) -> torch.optim.Optimizer:
    rate, head_rate = recipe.rates
    trained = [(name.split("."), p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for parts, p in trained if not set(head) & set(parts)], "lr": rate},
        {"params": [p for parts, p in trained if set(head) & set(parts)], "lr": head_rate},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=recipe.weight_decay)


def save(training: Trainer, processor: Any, recipe: Recipe) -> None:
    """Write what has trained, whole; every process calls this, and the first one writes.

    An adapter goes to ``adapters/``. A model that was trained itself goes to ``models/`` with its tokenizer or image
    processor, under its published names, so that `from_pretrained` and `pipeline` take the folder.
    """
    model, adapter = training.model, get_spec(recipe.method).trains_adapter
    if not adapter and not recipe.save_model:
        return
    state = None
    if distributed.sharded():
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        # On the first process alone, and of an adapter's base model, which may fit on none, nothing.
        parts = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
        state = get_model_state_dict(model, options=parts)
    if not distributed.state().is_main_process:
        return
    folder = base_model.weights_of(recipe)
    if adapter:
        methods.finish(model).save_pretrained(folder, state_dict=state)
        return
    vars(model).pop("save_pretrained", None)  # see _keep_names
    model.save_pretrained(folder, state_dict=state)
    processor.save_pretrained(folder)


@contextmanager
def deterministic(recipe: Recipe) -> Iterator[None]:
    """While it lasts, operators that add up in no fixed order are refused, if the recipe wants that."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        if recipe.deterministic:
            # Without it torch refuses every product on a GPU.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
