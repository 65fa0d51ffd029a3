"""Logits only where a training batch has answers: those of the prompt have no part in the loss."""

from __future__ import annotations

from inspect import signature
from typing import Any

from peft import PeftModel
from torch import Tensor, nn

from .exact_trainer import IGNORED

KEEP = "logits_to_keep"  # argument of the language models of transformers: how many of the last positions get logits


def accepts_kept_logits(model: nn.Module) -> bool:
    """Return whether a language model, possibly wrapped by PEFT, can leave out the logits of the first tokens."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return KEEP in signature(base.forward).parameters


def only_answers(inputs: dict[str, Any]) -> dict[str, Any]:
    r"""Return a batch that asks for the logits from the first labelled token of any row to the end.

    With ``V`` tokens in the vocabulary, the logits of a batch have ``rows × tokens × V`` entries, in float32 for the
    loss: often more memory than all activations of a small model. The loss stays the same, up to rounding.

    Args: ``inputs``: a batch of a causal language model, with labels.

    >>> from torch import tensor
    >>> batch = {"input_ids": tensor([[5, 6, 7, 8]]), "labels": tensor([[-100, -100, 7, 8]])}
    >>> only_answers(batch)["labels"], only_answers(batch)["logits_to_keep"]
    (tensor([[-100,    7,    8]]), 3)
    """
    labels: Tensor = inputs["labels"]
    labelled = (labels != IGNORED).any(0).nonzero()
    first = int(labelled[0]) if len(labelled) else labels.shape[1] - 1
    kept = labels.shape[1] - max(first - 1, 0)  # a token is predicted at the position before it
    return {**inputs, "labels": labels[:, -kept:], KEEP: kept}
