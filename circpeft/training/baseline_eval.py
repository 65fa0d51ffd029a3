"""What a model does, and how much work that is, before it trains."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..files import write_atomically
from ..recipes import Recipe
from . import distributed, throughput

KEPT = 20  # predictions


@dataclass
class Before:
    """Test score and first predictions of the untrained model, and FLOPs of a token with the adapter and without."""

    score: float
    predictions: list
    flops: float | None
    base_flops: float | None


def look(training: Trainer, task: Any, kind: ModuleType, recipe: Recipe, rows: Dataset) -> Before:
    """Look at the model as it is. Draws nothing: the order of the training data is to depend on the seed alone."""
    with torch.random.fork_rng():
        found = training.predict(rows, metric_key_prefix="test")
        flops, base_flops = throughput.flops_per_token(training, training.model, kind, recipe)
    first = kind.predictions(task, found.predictions)[:KEPT]
    return Before(found.metrics["test_score"], first, flops, base_flops)


class LookFirst(TrainerCallback):
    """Looks once, or as a callback once several processes have the model as they train it: as training begins.

    accelerate would not wrap a model any more that has been looked at before, and one that FSDP is to shard may fit on
    no device until it is. A run that then goes on begins with a trained model: what was seen is kept beside its
    checkpoints.
    """

    def __init__(self, training: Trainer, task: Any, kind: ModuleType, recipe: Recipe, rows: Dataset) -> None:
        self.needed = (training, task, kind, recipe, rows)
        self.path = Path(training.args.output_dir) / "before.json"
        self.seen: Before | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step:
            self.seen = Before(**json.loads(self.path.read_text(encoding="utf-8")))
        else:
            self.look()

    def look(self) -> None:
        """Look at the model as it is now."""
        self.seen = look(*self.needed)
        if distributed.state().is_main_process:
            write_atomically(self.path, json.dumps(asdict(self.seen)))
