"""Greedy completions of tokenised prompts, in batches that do not influence the answers."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from . import distributed
from .answer_logits import last_position
from .tokens import longest


@torch.no_grad()
def write_answers(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    max_new_tokens: int,
    batch_size: int = 32,
    progress: bool = True,
    together: bool = False,
    end: int | None = None,
) -> list[str]:
    """Return a model's greedy completion of each prompt, up to its end-of-text token.

    A completion also ends at the model's last position. It is empty if the prompt fills all positions. An answer does
    not depend on the other prompts of its batch.

    Args:
        model: a causal language model of transformers, also wrapped by PEFT.
        tokenizer: the model's tokenizer, with a padding token.
        prompts: token IDs of each prompt.
        max_new_tokens: length of the longest completion.
        batch_size: prompts in a batch, on each process.
        progress: whether to show a progress bar if it takes more than a few seconds.
        together: whether the processes of a run share the prompts. All of them must call this, and all get all answers.
        end: ID of another token that ends a completion, such as the end of a turn in a chat.
    """
    ends = tokenizer.eos_token_id if end in (None, tokenizer.eos_token_id) else [tokenizer.eos_token_id, end]
    process = distributed.state() if together else None
    rank, processes = (process.process_index, process.num_processes) if process else (0, 1)
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    positions = longest(sys.maxsize, tokenizer, model.config)
    room = [max(0, min(max_new_tokens, positions - len(prompt))) for prompt in prompts]
    answers: dict[int, str] = {}
    # A removed progress bar leaves an empty line in a notebook, so there is one only during a long wait.
    for batch in tqdm(
        _batches(prompts, room, batch_size * processes),
        desc="Writing answers",
        disable=not progress,
        leave=False,
        delay=5,
    ):
        # A process without a prompt of its own completes the first one: under FSDP all have to run the forward pass.
        mine = batch[rank::processes] or batch[:1]
        longest_prompt = max(len(prompts[i]) for i in mine)
        padding = [longest_prompt - len(prompts[i]) for i in mine]  # on the left: the completion follows the prompt
        ids = [[tokenizer.pad_token_id] * p + prompts[i] for i, p in zip(mine, padding, strict=True)]
        mask = [[0] * p + [1] * (longest_prompt - p) for p in padding]
        completed = model.generate(
            input_ids=torch.tensor(ids).to(device),
            attention_mask=torch.tensor(mask).to(device),
            max_new_tokens=room[mine[0]],
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,  # some models have another default
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=ends,
            synced_gpus=together and distributed.sharded(),
            **last_position(model, device),
        )
        texts = tokenizer.batch_decode(
            completed[:, longest_prompt:], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        answers |= dict(zip(mine, texts, strict=True))
    model.train(was_training)
    if processes > 1:
        answers = {i: text for part in distributed.gather(answers) for i, text in part.items()}
    return [answers.get(i, "") for i in range(len(prompts))]


def _batches(prompts: list[list[int]], room: list[int], size: int) -> list[list[int]]:
    """Return the numbers of the prompts in batches: similar lengths for little padding, the same room in a batch.

    With the same room for every prompt of a batch, no answer depends on the others. Prompts without room are left out.
    """
    order = sorted((i for i, left in enumerate(room) if left), key=lambda i: (room[i], len(prompts[i])))
    groups = [list(group) for _, group in groupby(order, key=room.__getitem__)]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]
