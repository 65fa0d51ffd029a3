"""Classification and regression of texts."""

from __future__ import annotations

import warnings
from typing import Any

from datasets import DatasetDict
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from ...recipes import Recipe
from ...tasks import Task
from .. import tokens
from ..exact_trainer import ExactTrainer
from .classification import Classification, classification_trainer


class TextKind(Classification):
    """Texts, or pairs of texts, with a class or a value each (`tasks.Task`)."""

    model_class = AutoModelForSequenceClassification
    example_models = "bert, roberta or llama"

    def load_processor(self, folder: str) -> PreTrainedTokenizerBase:
        """Load the tokenizer of a model; see `tokens.tokenizer_of`."""
        return tokens.tokenizer_of(folder)

    def encode(
        self,
        data: DatasetDict,
        task: Task,
        processor: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        recipe: Recipe,
    ) -> DatasetDict:
        """Return token IDs and labels. Warn how many rows are truncated."""
        max_length = tokens.longest(recipe.max_length, processor, config)

        def tokenized(rows: dict) -> dict:
            texts = [rows[column] for column in task.columns]
            encoded = processor(*texts, truncation=True, max_length=max_length)
            truncated = _truncated(processor, texts, encoded["input_ids"], max_length)
            encoded["truncated"] = [number in truncated for number in range(len(texts[0]))]
            # The model takes its loss from the labels' type: integers for classes, floats for a single output.
            encoded["labels"] = [int(value) if task.labels else float(value) for value in rows["label"]]
            return encoded

        encoded = tokens.mapped(data, tokenized, task, batched=True)
        truncated = {split: sum(rows["truncated"]) for split, rows in encoded.items()}
        if any(truncated.values()):
            counts = ", ".join(f"{count} of {split}" for split, count in truncated.items())
            warnings.warn(
                f"task {task.name!r}: rows longer than {max_length} tokens are truncated: {counts}; max_length is "
                f"{recipe.max_length}",
                stacklevel=2,
            )
        return encoded.remove_columns("truncated")

    def make_trainer(
        self, task: Task, processor: PreTrainedTokenizerBase, recipe: Recipe, **options: Any
    ) -> ExactTrainer:
        """Return a Trainer that pads batches and reports the task's metric."""
        multiple = tokens.length_multiple(recipe.precision, processor, options["model"].config)
        collator = DataCollatorWithPadding(processor, pad_to_multiple_of=multiple)
        return classification_trainer(task, data_collator=collator, **options)

    def count_tokens(self, rows: Any, config: PretrainedConfig) -> int:
        """Return the number of tokens of encoded rows, or of a batch with its padding."""
        return tokens.count(rows)


def _truncated(
    tokenizer: PreTrainedTokenizerBase, texts: list[list[str]], encoded: list[list[int]], max_length: int
) -> set[int]:
    """Return the numbers of the rows that were longer. A row of just ``max_length`` tokens may be complete."""
    full = [number for number, ids in enumerate(encoded) if len(ids) >= max_length]
    if not full:
        return set()
    complete = tokenizer(*([column[number] for number in full] for column in texts), verbose=False)["input_ids"]
    return {number for number, ids in zip(full, complete, strict=True) if len(ids) > max_length}
