"""Batches that mix adapters: `model(..., adapter_names=[...])` with one name per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from ..suggest import nearest
from .expert_layers import ExpertsLayer, check_one_adapter
from .layer import BASE, CirculantLayer


def check_batch(model: nn.Module, adapter_names: Sequence[str]) -> None:
    """Check that a mixed batch can be computed.

    Raises: TypeError for names that are not a sequence of strings; ValueError in training mode, for a name that no
    layer has, and for several names if one of them adapts fused experts.
    """
    if isinstance(adapter_names, str) or not all(isinstance(name, str) for name in adapter_names):
        raise TypeError(f"adapter_names must be a list with one adapter name per sample, got {adapter_names!r}")
    if model.training:
        raise ValueError("Cannot pass `adapter_names` when the model is in training mode. Call model.eval() first")
    known = {name for layer in model.modules() if isinstance(layer, CirculantLayer) for name in layer.adapters}
    unknown = sorted(set(adapter_names) - known - {BASE})
    if unknown:
        hint = nearest(unknown[0], [*sorted(known), BASE])
        raise ValueError(f"Trying to infer with non-existing adapter(s): {', '.join(unknown)}; {hint}")
    for layer in model.modules():
        if isinstance(layer, ExpertsLayer):
            check_one_adapter(layer, adapter_names)


def _pass_on(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], adapter_names: list[str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, {**kwargs, "adapter_names": adapter_names}


@contextmanager
def mixed_batch(model: Any, adapter_names: Sequence[str], copies: int = 1) -> Iterator[None]:
    """Make every adapted layer of a model use, for each sample, the adapter that is named for it.

    Args: ``copies``: rows that generation makes of every sample (beams or returned sequences). An encoder sees each
    sample once.
    """
    check_batch(model, adapter_names)
    encoder = model.get_encoder() if getattr(getattr(model, "config", None), "is_encoder_decoder", False) else None
    encoder_modules = set(encoder.modules()) if encoder is not None else set()
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, (CirculantLayer, AuxiliaryTrainingWrapper)):
                names = [name for name in adapter_names for _ in range(1 if module in encoder_modules else copies)]
                hook = partial(_pass_on, adapter_names=names)
                stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def copies_of_a_sample(arguments: dict[str, Any]) -> int:
    """Return the number of rows that `generate` makes of each sample, from its arguments."""
    config = arguments.get("generation_config")
    counts = [arguments.get(name) or getattr(config, name, None) or 1 for name in ("num_beams", "num_return_sequences")]
    return max(counts)
