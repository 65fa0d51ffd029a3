"""Classification and regression of texts."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from datasets import DatasetDict
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    Trainer,
)
from transformers.trainer_utils import EvalPrediction

from ..recipes import Recipe
from ..tasks import Task
from .exact_trainer import EvenTrainer
from .tokens import count, longest, mapped, tokenizer_of

AUTO = AutoModelForSequenceClassification
NEW_HEAD, SUCH = True, "bert, roberta or llama"
# A published model may carry the classes that it was trained on: its head is left behind.
LOADING = {"ignore_mismatched_sizes": True}
processor = tokenizer_of
tokens_in = count


def settings(task: Task) -> dict[str, Any]:
    """What the model's config takes from the task: its outputs, and the names of its classes."""
    outputs: dict[str, Any] = {"num_labels": task.num_labels}
    if task.labels:  # which say their number, too: transformers warns of both where the model had another one
        names = dict(enumerate(task.labels))
        outputs = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    return {"problem_type": None, **outputs}  # a published model has its own kind of loss


def encode(
    data: DatasetDict, task: Task, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, recipe: Recipe
) -> DatasetDict:
    """Token numbers and labels; a warning counts the rows that are cut."""
    max_length = longest(recipe.max_length, tokenizer, config)

    def tokens(rows: dict) -> dict:
        texts = [rows[column] for column in task.columns]
        encoded = tokenizer(*texts, truncation=True, max_length=max_length)
        filled = [i for i, ids in enumerate(encoded["input_ids"]) if len(ids) >= max_length]
        whole = tokenizer(*([text[i] for i in filled] for text in texts), verbose=False)["input_ids"] if filled else []
        cut = {i for i, ids in zip(filled, whole, strict=True) if len(ids) > max_length}
        encoded["cut"] = [i in cut for i in range(len(texts[0]))]
        # The model takes its loss from the labels' type: integers for classes, floating point for a single output.
        encoded["labels"] = [int(value) if task.labels else float(value) for value in rows["label"]]
        return encoded

    encoded = mapped(data, tokens, task, batched=True)
    cut = {split: sum(rows["cut"]) for split, rows in encoded.items()}
    if any(cut.values()):
        counts = ", ".join(f"{count} of {split}" for split, count in cut.items())
        warnings.warn(
            f"task {task.name!r}: rows longer than {max_length} tokens are cut: {counts}; max_length is "
            f"{recipe.max_length}",
            stacklevel=2,
        )
    return encoded.remove_columns("cut")


def score(prediction: EvalPrediction, task: Task) -> dict[str, float]:
    """The task's metric, from logits."""
    return {"score": task.score(prediction.label_ids, task.predictions(prediction.predictions))}


def trainer(task: Task, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, **common: Any) -> Trainer:
    """The Trainer, with padding and the metric."""
    return classifying(task, data_collator=DataCollatorWithPadding(tokenizer), **common)


def _logits(outputs: Any, labels: Any) -> Any:
    # Those that decode, such as T5 and BART, also return their encoder's states.
    return outputs[0] if isinstance(outputs, tuple) else outputs


def classifying(task: Any, **common: Any) -> Trainer:
    """A Trainer with the metric, for which an accumulated step has the mean of its batches' losses."""
    metric = {"compute_metrics": partial(score, task=task), "preprocess_logits_for_metrics": _logits}
    made = EvenTrainer(**metric, **common)
    # Otherwise the Trainer leaves the mean to the model wherever its forward has a **kwargs: BERT's has one, and takes
    # no mean, so that two batches would have twice the loss of one.
    made.model_accepts_loss_kwargs = False
    return made


def predictions(task: Task, logits: np.ndarray) -> list:
    """Class numbers, or values, as plain numbers."""
    return task.predictions(logits).tolist()
