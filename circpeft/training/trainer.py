"""The Trainer of a run: its arguments, its optimizer, and deterministic operators."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from tempfile import gettempdir
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, TrainingArguments

from ..recipes import Recipe
from . import distributed, launcher
from .device import accelerator
from .exact_trainer import ExactTrainer
from .preparation import Prepared

# transformers 5 renamed this argument, and will remove the old name.
CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if hasattr(TrainingArguments, name)
)

PRECISION_VARIABLE = "ACCELERATE_MIXED_PRECISION"


def make_trainer(prepared: Prepared, model: nn.Module, head: list[str], steps: int = 0) -> ExactTrainer:
    """Return the Trainer of a prepared run. It evaluates, if there is a validation split, and saves after each epoch.

    Args:
        prepared: the run.
        model: the model, made trainable by the recipe's method.
        head: names of the head's modules, which have a learning rate of their own.
        steps: number of optimizer steps of a trial, whose schedule is the recipe's and which neither evaluates nor
            saves by itself; 0 trains the recipe's epochs.
    """
    recipe, encoded = prepared.recipe, prepared.encoded
    keep_names(model)
    with launcher.without_traces(), _precision_variable_kept():
        return prepared.kind.make_trainer(
            prepared.task,
            prepared.processor,
            recipe,
            model=model,
            args=_arguments(prepared, steps),
            train_dataset=encoded["train"],
            eval_dataset=encoded.get("validation"),
            optimizer=partial(_optimizer, recipe, model, head),
        )


@contextmanager
def _precision_variable_kept() -> Iterator[None]:
    """Restore accelerate's variable after the ``with`` block.

    transformers 4 writes a run's precision into it, and the next run of the process would read it there.
    """
    before = os.environ.get(PRECISION_VARIABLE)
    try:
        yield
    finally:
        os.environ.pop(PRECISION_VARIABLE, None)
        if before is not None:
            os.environ[PRECISION_VARIABLE] = before


def _arguments(prepared: Prepared, trial_steps: int) -> TrainingArguments:
    recipe = prepared.recipe
    rows_per_step = recipe.batch_size * recipe.gradient_accumulation
    steps = trial_steps or -(-len(prepared.encoded["train"]) // rows_per_step) * recipe.epochs
    each_epoch: dict[str, Any] = {
        "output_dir": str(prepared.checkpoints),
        "eval_strategy": "epoch" if "validation" in prepared.encoded else "no",
        "save_strategy": "epoch",
        "load_best_model_at_end": recipe.tested_epoch == "best",
        "metric_for_best_model": "score",
        "greater_is_better": True,
        "report_to": recipe.report_to or "none",
    }
    of_trial: dict[str, Any] = {
        "output_dir": gettempdir(),  # the Trainer makes this folder, and a trial writes nothing
        "max_steps": trial_steps,
        "eval_strategy": "no",
        "save_strategy": "no",
        "disable_tqdm": True,  # one bar shows all trials
        "report_to": "none",
    }
    arguments = TrainingArguments(
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=distributed.batch_share(recipe.batch_size),
        per_device_eval_batch_size=4 * distributed.batch_share(recipe.batch_size),
        gradient_accumulation_steps=recipe.gradient_accumulation,
        **_checkpointing(recipe),
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        use_cpu=uses_cpu(recipe),
        warmup_steps=round(recipe.warmup * steps),
        lr_scheduler_type="linear",
        logging_steps=max(1, steps // 50),
        seed=recipe.seed,
        **(of_trial if trial_steps else each_epoch),
        label_names=["labels"],
        dataloader_pin_memory=distributed.state().device.type == "cuda",
    )
    # One process trains on one device. With all visible devices, nn.DataParallel would multiply the batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def uses_cpu(recipe: Recipe) -> bool:
    """Return whether the Trainer has to be told that it computes on a CPU.

    On a machine with only a CPU, transformers refuses bf16 otherwise, and accelerate several processes.
    """
    return distributed.on_cpu() or (recipe.precision == "bf16" and accelerator() is None)


def _checkpointing(recipe: Recipe) -> dict[str, Any]:
    if not recipe.gradient_checkpointing:
        return {}
    # The reentrant variant, the default of transformers 4, has no gradient if the embeddings are frozen.
    return {CHECKPOINTING: True, f"{CHECKPOINTING}_kwargs": {"use_reentrant": False}}


def _optimizer(recipe: Recipe, model: nn.Module, head: list[str]) -> torch.optim.Optimizer:
    rate, head_rate = recipe.rates
    trainable = [(name.split("."), p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for parts, p in trainable if not set(head) & set(parts)], "lr": rate},
        {"params": [p for parts, p in trainable if set(head) & set(parts)], "lr": head_rate},
    ]
    settings: dict[str, Any] = {"betas": (0.9, recipe.adam_beta2), "weight_decay": recipe.weight_decay}
    return torch.optim.AdamW([g for g in groups if g["params"]], **settings)


def keep_names(model: nn.Module) -> None:
    """Have a model save its checkpoints under its own names of parameters, until `published_names`.

    transformers 5 renames weights of some models when it loads them, and saves them under their published names. The
    Trainer reads its checkpoints by the model's own names, so it would silently not read back the best epoch.
    """
    if isinstance(model, PreTrainedModel) and "save_original_format" in signature(model.save_pretrained).parameters:
        model.save_pretrained = partial(model.save_pretrained, save_original_format=False)


def published_names(model: nn.Module) -> None:
    """Undo `keep_names`, so that `from_pretrained` reads what the model saves."""
    vars(model).pop("save_pretrained", None)


@contextmanager
def deterministic(recipe: Recipe) -> Iterator[None]:
    """Refuse operators that sum in no fixed order, inside a ``with`` block, if the recipe asks for it."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        if recipe.deterministic:
            # Without this variable torch refuses every product on a GPU.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
