"""The evaluation of a model before it trains: its test score, and the FLOPs of its forward pass."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..files import write_atomically
from ..recipes import Recipe
from . import checkpoints, distributed, throughput
from .kinds import TaskKind

PREDICTIONS_KEPT = 20


@dataclass(frozen=True)
class Baseline:
    """The untrained model.

    Attributes:
        score: its score on the test split.
        predictions: its first predictions there.
        flops: FLOPs for a token with the adapter; None if they cannot be counted.
        base_flops: the same without the adapter.
    """

    score: float
    predictions: list
    flops: float | None
    base_flops: float | None


def evaluate_baseline(trainer: Trainer, task: Any, kind: TaskKind, recipe: Recipe, test: Dataset) -> Baseline:
    """Evaluate the model as it is. No random number is used up: the order of the rows depends on the seed only."""
    with torch.random.fork_rng():
        outputs = trainer.predict(test, metric_key_prefix="test")
        flops, base_flops = throughput.flops_per_token(trainer, trainer.model, kind, recipe, test)
    first = kind.predictions(task, outputs.predictions)[:PREDICTIONS_KEPT]
    return Baseline(outputs.metrics["test_score"], first, flops, base_flops)


class BaselineEvaluation(TrainerCallback):
    """Evaluates the model once before its first step, and keeps the outcome as ``baseline``.

    One process calls `evaluate` before training. In several processes this is a callback instead, so that it runs when
    they have wrapped the model: accelerate does not wrap a model that was evaluated before, and a model that FSDP is to
    shard may not fit on one device. A resumed run starts with a trained model, so the outcome is also kept in a file
    beside the checkpoints.
    """

    def __init__(self, trainer: Trainer, task: Any, kind: TaskKind, recipe: Recipe, test: Dataset) -> None:
        self.arguments = (trainer, task, kind, recipe, test)
        self.path = Path(trainer.args.output_dir) / checkpoints.BASELINE
        self.baseline: Baseline | None = None

    @property
    def outcome(self) -> Baseline:
        """The evaluation of the model before training, once it is there."""
        assert self.baseline is not None
        return self.baseline

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate, or read what was evaluated before an interruption."""
        if state.global_step:
            self.baseline = Baseline(**json.loads(self.path.read_text(encoding="utf-8")))
        else:
            self.evaluate()

    def evaluate(self) -> None:
        """Evaluate the model as it is now."""
        self.baseline = evaluate_baseline(*self.arguments)
        if distributed.state().is_main_process:
            write_atomically(self.path, json.dumps(asdict(self.baseline)))
