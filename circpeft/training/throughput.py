"""The speed of a run, and the FLOPs of a token."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PretrainedConfig, Trainer

from ..profiling import FlopCounter
from ..recipes import Recipe
from .kinds import TaskKind

ROWS_COUNTED = 8  # rows of the batch over which FLOPs are counted


def flops_per_token(
    trainer: Trainer, model: Any, kind: TaskKind, recipe: Recipe, test: Dataset
) -> tuple[float, float] | tuple[None, None]:
    """Return the FLOPs of a forward pass for a token, with the adapter and without it. Padding counts as tokens.

    They are counted over rows of validation, or of test where there is no validation split.

    Both are None for a quantised model: its products are operators of bitsandbytes, which cannot be counted.
    """
    if recipe.quantization:
        return None, None
    has_validation = trainer.eval_dataset is not None
    batch = next(iter(trainer.get_eval_dataloader() if has_validation else trainer.get_test_dataloader(test)))
    batch = {name: values[:ROWS_COUNTED] for name, values in batch.items() if isinstance(values, torch.Tensor)}
    tokens = kind.count_tokens(batch, model.config)
    without_adapter = model.disable_adapter if isinstance(model, PeftModel) else nullcontext
    flops = _forward_flops(trainer, model, batch)
    with without_adapter():
        return flops / tokens, _forward_flops(trainer, model, batch) / tokens


def _forward_flops(trainer: Trainer, model: Any, batch: dict) -> int:
    was_training = model.training
    model.eval()
    with torch.no_grad(), trainer.compute_loss_context_manager(), FlopCounter() as counter:
        # Of the Trainer itself: instructions would leave out the logits of the prompts, and FLOPs are per token.
        Trainer.compute_loss(trainer, model, dict(batch))
    model.train(was_training)
    return counter.total


def tokens_per_second(
    kind: TaskKind, rows: Any, config: PretrainedConfig, recipe: Recipe, step_seconds: float
) -> float:
    """Return the number of tokens for each second of the training steps, without padding."""
    return kind.count_tokens(rows, config) * recipe.epochs / step_seconds
