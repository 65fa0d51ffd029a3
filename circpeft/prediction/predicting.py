"""Predict rows with a trained model, by the Trainer of its kind of task."""

from __future__ import annotations

import sys
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
from datasets import Dataset, DatasetDict, Image
from scipy.special import softmax
from transformers import TrainingArguments

from ..recipes import Recipe
from ..training import chat, distributed, tokens
from ..training.trainer import uses_cpu
from .rows import needed_columns
from .trained import TrainedModel

SPLIT = "rows"


def predict(trained: TrainedModel, rows: Dataset, progress: bool = False) -> list[dict[str, Any]]:
    """Return a prediction of each row: ``prediction``, and for classes also its ``probability``.

    The rows are encoded, batched and predicted as the test rows of a run are. A class is given by its name.

    Args:
        trained: the model, from `open_trained`.
        rows: the rows, from `read_rows` or `rows_of_texts`. Their labels are not read.
        progress: whether to show a progress bar.

    Raises: ValueError for a prompt that leaves no position for an answer.
    """
    task: Any = trained.task
    recipe = trained.recipe
    columns = [*needed_columns(task), *filter(None, [getattr(task, "optional", None)])]
    rows = rows.select_columns([column for column in columns if column in rows.column_names])
    if task.kind == "instructions":
        task = replace(task, same=_equal)  # every task is answered, also one whose score is the loss
        recipe = replace(recipe, max_length=sys.maxsize)  # the length of a training row; an answer has its own limit
        _check_prompts(trained, rows)
        rows = rows.add_column(task.answer_column, [""] * len(rows))
    else:
        rows = rows.cast_column("image", Image()) if task.kind == "images" else rows
        rows = rows.add_column("label", [0] * len(rows))
    config: Any = trained.model.config
    if hasattr(trained.processor, "pad_token_id") and config.pad_token_id is None:
        config.pad_token_id = trained.processor.pad_token_id  # a classifier of a language model reads the last token
    encoded = trained.kind.encode(DatasetDict({SPLIT: rows}), task, trained.processor, config, recipe)[SPLIT]
    with TemporaryDirectory() as folder:
        trainer = trained.kind.make_trainer(
            task,
            trained.processor,
            recipe,
            model=trained.model,
            args=_arguments(recipe, folder, progress),
            optimizer=_no_optimizer,
        )
        outputs = trainer.predict(encoded).predictions
    values = trained.kind.predictions(task, outputs)
    if not task.labels:
        return [{"prediction": value} for value in values]
    shares = softmax(np.asarray(outputs, dtype=np.float64), axis=-1).max(-1)
    return [
        {"prediction": task.labels[value], "probability": round(float(share), 6)}
        for value, share in zip(values, shares, strict=True)
    ]


def _arguments(recipe: Recipe, folder: str, progress: bool) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_eval_batch_size=4 * recipe.batch_size,  # as in training
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        use_cpu=uses_cpu(recipe),
        report_to="none",
        label_names=["labels"],
        disable_tqdm=not progress,
        dataloader_pin_memory=distributed.state().device.type == "cuda",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _check_prompts(trained: TrainedModel, rows: Dataset) -> None:
    task: Any = trained.task
    in_chat = chat.used(trained.recipe, trained.processor)
    positions = tokens.longest(sys.maxsize, trained.processor, trained.model.config)
    for number, row in enumerate(rows):
        length = len(chat.prompt_of(task, row, trained.processor, in_chat))
        if length >= positions:
            raise ValueError(
                f"row {number}: the prompt has {length} tokens, and the model has {positions} positions; shorten it"
            )


def _equal(reference: str, answer: str) -> bool:
    return reference == answer


def _no_optimizer() -> NoReturn:
    raise RuntimeError("a prediction does not train")
