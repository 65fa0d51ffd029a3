"""Logits only where they are needed: at the answers for the loss, and at the last token to write the next one."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import modeling_utils

from .exact_trainer import IGNORED
from .tokens import padded_length

KEEP = "logits_to_keep"  # argument of the language models of transformers: the positions that get logits
# Earlier versions take the same positions for all rows.
TAKES_POSITIONS_OF_ROWS = hasattr(modeling_utils, "slice_logits_to_keep")


def _takes_positions(model: nn.Module) -> bool:
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return KEEP in signature(base.forward).parameters


def accepts_positions(model: nn.Module) -> bool:
    """Return whether a language model, possibly in a PEFT model, can compute logits only at positions of each row."""
    return TAKES_POSITIONS_OF_ROWS and _takes_positions(model)


def last_position(model: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Return the option of ``generate`` that asks for the logits of the last token, if the model has it.

    By itself, ``generate`` asks for one position, so the hidden states of the prompts are sliced. For a slice, torch
    copies a frozen bfloat16 matrix on a CPU once for each row of the batch. A position in a tensor copies only states.
    """
    return {KEEP: torch.tensor([-1], device=device)} if _takes_positions(model) else {}


def only_answers(inputs: dict[str, Any], multiple: int = 1) -> dict[str, Any]:
    r"""Return a batch that asks for the logits from the token before each row's first label to its last label.

    The loss is the same. With ``V`` tokens in the vocabulary, the logits of a batch have ``rows × tokens × V`` entries,
    and the loss needs them in float32: often more memory than all activations of a small model.

    Args:
        inputs: a batch of a causal language model, with labels.
        multiple: the number of positions of a row is a multiple of this.

    >>> batch = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "labels": torch.tensor([[-100, -100, 7, 8]])}
    >>> kept = only_answers(batch)
    >>> kept["labels"].tolist(), kept["logits_to_keep"].tolist()
    ([[-100, 7, 8]], [[1, 2, 3]])
    """
    labels: Tensor = inputs["labels"]
    labelled, last_column = (labels != IGNORED).int(), labels.shape[1] - 1
    first = labelled.argmax(1)
    last = torch.where(labelled.any(1), last_column - labelled.flip(1).argmax(1), first)
    start = (first - 1).clamp(min=0)  # a token is predicted at the position before it
    count = padded_length(int((last - start).max()) + 1, multiple)
    positions = start[:, None] + torch.arange(count, device=labels.device)
    behind = positions > last[:, None]  # shorter answers are padded
    positions = positions.clamp(max=last_column)
    return {**inputs, "labels": labels.gather(1, positions).masked_fill(behind, IGNORED), KEEP: positions}
