"""Instruction tuning of language models: loss on the answer alone, scored by the answers that the model writes."""

from __future__ import annotations

import sys
import warnings
from itertools import groupby
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerBase, Trainer
from transformers.trainer_utils import EvalLoopOutput

from ..recipes import Recipe
from ..tasks import InstructionTask
from . import distributed
from .exact_trainer import IGNORED, EvenTrainer
from .tokens import count, longest, mapped, tokenizer_of

AUTO = AutoModelForCausalLM
NEW_HEAD, SUCH = False, "llama, qwen3 or gpt2"
LOADING: dict[str, Any] = {}
tokens_in = count


def processor(folder: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Raises: ValueError for one without an end of text; what `tokenizer_of` raises.
    """
    tokenizer = tokenizer_of(folder)
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"the tokenizer of {folder!r} has no end of text, and an answer could never end; set its eos_token and "
            f"save it again"
        )
    return tokenizer


def settings(task: InstructionTask) -> dict[str, Any]:
    """What the model's config takes from the task: BERT and its like are to see no token behind their own."""
    return {"is_decoder": True}


def encode(
    data: DatasetDict,
    task: InstructionTask,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    recipe: Recipe,
) -> DatasetDict:
    """Prompt and answer as token numbers, labels on the answer and its end alone; the reference beside them.

    Raises: ValueError where no answer of a split fits into ``max_length``.
    """
    limit = longest(recipe.max_length, tokenizer, config)

    def tokens(row: dict) -> dict:
        prompt = tokenizer(task.prompt(row))["input_ids"]
        if prompt and prompt[-1] == tokenizer.eos_token_id:  # some tokenizers end every text
            prompt = prompt[:-1]
        answer = tokenizer(row[task.answer_column].strip(), add_special_tokens=False)["input_ids"]
        whole = [*prompt, *answer, tokenizer.eos_token_id]
        labels = [IGNORED] * len(prompt) + whole[len(prompt) :]
        made = {"input_ids": whole[:limit], "labels": labels[:limit], "prompt": prompt, "length": len(whole)}
        return {**made, "reference": row[task.answer_column]}

    encoded = mapped(data, tokens, task)
    too_long = {split: sum(n > limit for n in rows["length"]) for split, rows in encoded.items()}
    answered = {split: _answered(rows) for split, rows in encoded.items()}
    for split, rows in encoded.items():
        if not answered[split]:
            raise ValueError(
                f"no prompt in {split} of task {task.name!r} leaves room for an answer within {limit} tokens; its "
                f"longest row has {max(rows['length'])}: raise max_length, or take a model with more positions"
            )
    if any(too_long.values()):
        counts = ", ".join(f"{count} of {split}" for split, count in too_long.items())
        left_out = ", ".join(f"{len(rows) - len(answered[split])} of {split}" for split, rows in encoded.items())
        warnings.warn(
            f"task {task.name!r}: rows longer than {limit} tokens are cut: {counts}; those without room for an answer "
            f"are left out of training and of the loss: {left_out}",
            stacklevel=2,
        )
        encoded["train"] = encoded["train"].select(answered["train"])
    return encoded


def _answered(rows: Dataset) -> list[int]:
    """Numbers of the rows that have a label left."""
    return [i for i, labels in enumerate(rows["labels"]) if labels[-1] != IGNORED]


class _Batch:
    """Rows padded on the right."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        def padded(column: str, value: int) -> Tensor:
            return pad_sequence([torch.tensor(row[column]) for row in rows], batch_first=True, padding_value=value)

        length = pad_sequence([torch.ones(len(row["input_ids"]), dtype=torch.long) for row in rows], batch_first=True)
        return {
            "input_ids": padded("input_ids", self.pad),
            "attention_mask": length,
            "labels": padded("labels", IGNORED),
        }


@torch.no_grad()
def write_answers(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    max_new_tokens: int,
    batch_size: int = 32,
    progress: bool = True,
    together: bool = False,
) -> list[str]:
    """What a model writes behind prompts (as token numbers), word by word the likeliest, up to its end of text.

    An answer ends at the model's last position, too; behind a prompt that fills them all it is empty. With
    ``together`` the processes of a run, all of which have to call it, share out each batch, and all have every answer.
    """
    process = distributed.state() if together else None
    number, processes = (process.process_index, process.num_processes) if process else (0, 1)
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    positions = longest(sys.maxsize, tokenizer, model.config)
    room = [max(0, min(max_new_tokens, positions - len(prompt))) for prompt in prompts]
    # Like lengths together, for little padding, and in a batch one room, so that no answer depends on the others.
    order = sorted((i for i, left in enumerate(room) if left), key=lambda i: (room[i], len(prompts[i])))
    alike = [list(group) for _, group in groupby(order, key=room.__getitem__)]
    whole = batch_size * processes
    batches = [group[start : start + whole] for group in alike for start in range(0, len(group), whole)]
    written: dict[int, str] = {}
    # In a notebook a bar that is gone leaves a line: only where there is a wait is there one.
    for at in tqdm(batches, desc="Writing answers", disable=not progress, leave=False, delay=5):
        # A process without a row of its own writes the first one's answer: under FSDP no forward goes without it.
        at = at[number::processes] or at[:1]
        width = max(len(prompts[i]) for i in at)
        pads = [width - len(prompts[i]) for i in at]  # on the left: what is written has to follow the prompt
        ids = torch.tensor([[tokenizer.pad_token_id] * p + prompts[i] for i, p in zip(at, pads, strict=True)])
        mask = torch.tensor([[0] * p + [1] * (width - p) for p in pads])
        made = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=room[at[0]],
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,  # some models bring their own
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            synced_gpus=together and distributed.sharded(),
        )
        texts = tokenizer.batch_decode(made[:, width:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        written |= dict(zip(at, texts, strict=True))
    model.train(was_training)
    if processes > 1:
        written = {i: text for part in distributed.gathered(written) for i, text in part.items()}
    return [written.get(i, "") for i in range(len(prompts))]


class AnsweringTrainer(EvenTrainer):
    """A Trainer whose evaluation also lets the model answer, and scores what it wrote."""

    def __init__(self, *, task: InstructionTask, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, **common: Any):
        super().__init__(**common)
        self.task, self.tokenizer_of_task = task, tokenizer
        self.max_new_tokens = recipe.max_new_tokens or task.max_new_tokens

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        rows: Dataset = dataloader.dataset
        if len(answered := _answered(rows)) < len(rows):  # the mean over no label is no number
            dataloader = self.get_test_dataloader(rows.select(answered))
        found = super().evaluation_loop(dataloader, description, True, ignore_keys, metric_key_prefix)
        if self.task.same is None:
            written, score = [], -found.metrics[f"{metric_key_prefix}_loss"]
        else:
            with self.accelerator.autocast():  # of a PeftModel the Trainer itself sees to its forward alone
                written = write_answers(
                    self.model,
                    self.tokenizer_of_task,
                    list(rows["prompt"]),
                    self.max_new_tokens,
                    self.args.per_device_eval_batch_size,
                    progress=not self.args.disable_tqdm,
                    together=True,
                )
            score = self.task.score(list(rows["reference"]), written)
        metrics = {**found.metrics, f"{metric_key_prefix}_score": score}
        return EvalLoopOutput(written, list(rows["reference"]), metrics, found.num_samples)


def trainer(task: InstructionTask, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, **common: Any) -> Trainer:
    """The Trainer that answers."""
    common["args"].remove_unused_columns = False  # prompts and references are used in the evaluation
    collator = _Batch(tokenizer.pad_token_id)
    return AnsweringTrainer(task=task, tokenizer=tokenizer, recipe=recipe, data_collator=collator, **common)


def predictions(task: InstructionTask, written: list[str]) -> list[str]:
    """The answers themselves."""
    return list(written)
