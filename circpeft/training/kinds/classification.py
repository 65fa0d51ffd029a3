"""What classification (and regression) of texts and of images have in common."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from transformers.trainer_utils import EvalPrediction

from ..exact_trainer import ExactTrainer


class Classification:
    """The members of `TaskKind` that are the same for texts and images."""

    has_new_head = True
    # A published model may have a head for other classes; it is replaced.
    loading_options = {"ignore_mismatched_sizes": True}
    predictions_kept = None

    def config_options(self, task: Any) -> dict[str, Any]:
        """Return the number of outputs for the model's config, and the names of the classes."""
        outputs: dict[str, Any] = {"num_labels": task.num_labels}
        if task.labels:
            # The names imply the number. transformers warns if both are given and the model had another number.
            names = dict(enumerate(task.labels))
            outputs = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
        return {"problem_type": None, **outputs}  # a published model may name another loss

    def predictions(self, task: Any, outputs: np.ndarray) -> list:
        """Return class numbers, or values for regression, from logits ``(rows, num_labels)``."""
        return task.predictions(outputs).tolist()


def score(prediction: EvalPrediction, task: Any) -> dict[str, float]:
    """Return the task's metric from logits."""
    return {"score": task.score(prediction.label_ids, task.predictions(prediction.predictions))}


def classification_trainer(task: Any, **options: Any) -> ExactTrainer:
    """Return a Trainer with the task's metric. The loss of an accumulated step is the mean of its batches' losses."""
    trainer = ExactTrainer(
        compute_metrics=partial(score, task=task), preprocess_logits_for_metrics=_logits_of, **options
    )
    # The Trainer leaves the mean to any model that has **kwargs in its forward. BERT has them, but takes no mean: two
    # accumulated batches would have twice the loss of one.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _logits_of(outputs: Any, labels: Any) -> Any:
    # Encoder-decoder models such as T5 and BART also return the states of their encoder.
    return outputs[0] if isinstance(outputs, tuple) else outputs
