"""Instruction tuning of language models: the loss is on the answer only, and generated answers are scored."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerBase
from transformers.trainer_utils import EvalLoopOutput

from ...recipes import Recipe
from ...tasks import InstructionTask
from .. import chat, distributed, tokens
from ..answer_logits import accepts_positions, only_answers
from ..exact_trainer import IGNORED, ExactTrainer
from ..generation import write_answers


class InstructionKind:
    """Instructions with an answer each (`tasks.InstructionTask`). The language model keeps its own head."""

    model_class = AutoModelForCausalLM
    has_new_head = False
    example_models = "llama, qwen3 or gpt2"
    loading_options: dict[str, Any] = {}
    predictions_kept = 200  # texts are long

    def load_processor(self, folder: str) -> PreTrainedTokenizerBase:
        """Load the tokenizer of a model.

        Raises: ValueError for one without an end-of-text token; whatever `tokens.tokenizer_of` raises.
        """
        tokenizer = tokens.tokenizer_of(folder)
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"the tokenizer of {folder!r} has no end-of-text token, so an answer could never end; set its "
                f"eos_token and save it again"
            )
        return tokenizer

    def config_options(self, task: InstructionTask) -> dict[str, Any]:
        """Return the option that makes BERT and similar models causal: a token must not see later ones."""
        return {"is_decoder": True}

    def encode(
        self,
        data: DatasetDict,
        task: InstructionTask,
        processor: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        recipe: Recipe,
    ) -> DatasetDict:
        """Return prompt and answer as token IDs, with labels only on the answer and its end; keep the reference.

        The prompt is in the model's chat template, if the recipe uses it, and else in the task's.

        Rows longer than ``max_length`` are truncated. A training row without room for its answer is left out. A
        warning counts both.

        Raises: ValueError for a split in which no answer fits into ``max_length``.
        """
        limit = tokens.longest(recipe.max_length, processor, config)
        in_chat = chat.used(recipe, processor)
        end = chat.end(processor) if in_chat else processor.eos_token_id

        def tokenized(row: dict) -> dict:
            prompt = chat.prompt_of(task, row, processor, in_chat)
            answer = processor(row[task.answer_column].strip(), add_special_tokens=False)["input_ids"]
            ids = [*prompt, *answer, end]
            labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
            encoded = {"input_ids": ids[:limit], "labels": labels[:limit], "prompt": prompt, "length": len(ids)}
            return {**encoded, "reference": row[task.answer_column]}

        encoded = tokens.mapped(data, tokenized, task)
        answered = {split: rows_with_labels(rows) for split, rows in encoded.items()}
        for split, rows in encoded.items():
            if not answered[split]:
                raise ValueError(
                    f"no prompt in {split} of task {task.name!r} leaves room for an answer within {limit} tokens; its "
                    f"longest row has {max(rows['length'])}: raise max_length, or take a model with more positions"
                )
        too_long = {split: sum(length > limit for length in rows["length"]) for split, rows in encoded.items()}
        if any(too_long.values()):
            counts = ", ".join(f"{count} of {split}" for split, count in too_long.items())
            left_out = ", ".join(f"{len(rows) - len(answered[split])} of {split}" for split, rows in encoded.items())
            warnings.warn(
                f"task {task.name!r}: rows longer than {limit} tokens are truncated: {counts}; rows without room for "
                f"an answer are left out of training and of the loss: {left_out}",
                stacklevel=2,
            )
            encoded["train"] = encoded["train"].select(answered["train"])
        return encoded

    def make_trainer(
        self, task: InstructionTask, processor: PreTrainedTokenizerBase, recipe: Recipe, **options: Any
    ) -> ExactTrainer:
        """Return a Trainer that evaluates by generating answers."""
        options["args"].remove_unused_columns = False  # the evaluation needs prompts and references
        multiple = tokens.length_multiple(recipe.precision, processor, options["model"].config)
        collator = Collator(processor.pad_token_id, multiple)
        return AnsweringTrainer(task=task, tokenizer=processor, recipe=recipe, data_collator=collator, **options)

    def predictions(self, task: InstructionTask, outputs: list[str]) -> list[str]:
        """Return the generated answers."""
        return list(outputs)

    def count_tokens(self, rows: Any, config: PretrainedConfig) -> int:
        """Return the number of tokens of encoded rows, or of a batch with its padding."""
        return tokens.count(rows)


def rows_with_labels(rows: Dataset) -> list[int]:
    """Return the numbers of the encoded rows that still have labels after truncation."""
    return [number for number, labels in enumerate(rows["labels"]) if labels[-1] != IGNORED]


class Collator:
    """Makes a batch of rows by padding them on the right.

    Args:
        pad: ID of the padding token.
        multiple: the length of the batch is a multiple of this.
    """

    def __init__(self, pad: int, multiple: int = 1) -> None:
        self.pad, self.multiple = pad, multiple

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        def padded(values: list[list[int]], padding: int) -> Tensor:
            return torch.tensor([row + [padding] * (length - len(row)) for row in values])

        ids = [row["input_ids"] for row in rows]
        length = tokens.padded_length(max(map(len, ids)), self.multiple)
        return {
            "input_ids": padded(ids, self.pad),
            "attention_mask": padded([[1] * len(row) for row in ids], 0),
            "labels": padded([row["labels"] for row in rows], IGNORED),
        }


class AnsweringTrainer(ExactTrainer):
    """A Trainer that evaluates by generating answers and scoring them.

    Tasks without a rule that compares answers are scored by their negative loss, and nothing is generated.
    """

    def __init__(
        self, *, task: InstructionTask, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, **options: Any
    ) -> None:
        super().__init__(**options)
        self.task, self.tokenizer_of_task = task, tokenizer
        self.max_new_tokens = recipe.max_new_tokens or task.max_new_tokens
        share = max(1, distributed.batch_share(recipe.generation_batch_size))
        self.generation_batch = share if recipe.generation_batch_size else self.args.per_device_eval_batch_size
        self.end = chat.end(tokenizer) if chat.used(recipe, tokenizer) else None
        self.logits_at_answers = accepts_positions(self.model)

    def compute_loss(
        self, model: nn.Module, inputs: dict, return_outputs: bool = False, *arguments: Any, **options: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """Return the model's loss. If the model allows it, logits are computed only where the answers are."""
        kept = only_answers(inputs, self.data_collator.multiple) if self.logits_at_answers else inputs
        return super().compute_loss(model, kept, return_outputs, *arguments, **options)

    def loss_of(self, rows: Dataset) -> float:
        """Return the mean loss on the answers, without those that do not fit into ``max_length``."""
        return super().loss_of(rows.select(rows_with_labels(rows)))

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate the loss, then generate and score an answer to every prompt."""
        rows: Dataset = dataloader.dataset
        if len(labelled := rows_with_labels(rows)) < len(rows):  # the mean loss over no label is NaN
            dataloader = self.get_test_dataloader(rows.select(labelled))
        evaluated = super().evaluation_loop(dataloader, description, True, ignore_keys, metric_key_prefix)
        if self.task.same is None:
            answers, score = [], -evaluated.metrics[f"{metric_key_prefix}_loss"]
        else:
            with self.accelerator.autocast():  # the Trainer applies it only to a PeftModel's forward
                answers = write_answers(
                    self.model,
                    self.tokenizer_of_task,
                    list(rows["prompt"]),
                    self.max_new_tokens,
                    self.generation_batch,
                    progress=not self.args.disable_tqdm,
                    together=True,
                    end=self.end,
                )
            score = self.task.score(list(rows["reference"]), answers)
        metrics = {**evaluated.metrics, f"{metric_key_prefix}_score": score}
        return EvalLoopOutput(answers, list(rows["reference"]), metrics, evaluated.num_samples)
