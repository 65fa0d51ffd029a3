"""What a run records of its own speed and work, beside its scores."""

from __future__ import annotations

from contextlib import nullcontext
from types import ModuleType
from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer

from ..profiling import FlopCounter
from ..recipes import Recipe

ROWS = 8  # of the batch whose forward pass is counted


def flops_per_token(training: Trainer, model: Any, kind: ModuleType, recipe: Recipe) -> tuple[float | None, ...]:
    """FLOPs of one forward pass with the adapter, and without it; padded positions are tokens, too."""
    if recipe.quantization:  # its products are operators of bitsandbytes, of which no counter knows
        return None, None
    batch = next(iter(training.get_eval_dataloader()))
    batch = {name: values[:ROWS] for name, values in batch.items() if isinstance(values, torch.Tensor)}
    tokens = kind.tokens_in(batch, model.config)
    switched_off = model.disable_adapter if isinstance(model, PeftModel) else nullcontext
    with_adapter = _forward(training, model, batch)
    with switched_off():
        return with_adapter / tokens, _forward(training, model, batch) / tokens


def _forward(training: Trainer, model: Any, batch: dict) -> int:
    was_training = model.training
    model.eval()
    with torch.no_grad(), training.compute_loss_context_manager(), FlopCounter() as counter:
        training.compute_loss(model, dict(batch))
    model.train(was_training)
    return counter.total


def tokens_per_second(kind: ModuleType, rows: Any, config: Any, recipe: Recipe, seconds: float) -> float:
    """Tokens that the training steps went through in a second, padding left out."""
    return kind.tokens_in(rows, config) * recipe.epochs / seconds
