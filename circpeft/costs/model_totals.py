"""Costs of a method for a whole model: the sums over its target layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn
from transformers import PretrainedConfig

from . import exact, memory, paper
from .hyperparameters import DEFAULTS, H, check_choice, check_sizes, resolve
from .models import Layer, layers, skeleton

Model: TypeAlias = str | Path | PretrainedConfig | nn.Module
COUNTINGS, DIRECTIONS, QUANTITIES = ("exact", "paper"), ("forward", "backward", "both"), ("parameters", "flops")
# Names of layers that have the same input within one parent module.
SAME_INPUT = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"), ("q", "k", "v"))
# Names of attentions over another sequence: their query has an input of its own.
CROSS_ATTENTION = {"crossattention", "cross_attn", "encoder_attn", "EncDecAttention"}
# Methods that save the layer's input itself, so that such layers save it only once.
SAVE_INPUT = ("full", "lora", "dora", "fourierft", "c3a", "cdvft")


def total_over(
    quantity: str, target_layers: list[Layer], method: str, counting: str = "exact", **hyperparameters: Any
) -> float:
    """Return the sum over layers of the "parameters", or of the "flops" of one token's forward pass, without rounding.

    Raises: ValueError for an unknown quantity, counting or method, or hyperparameters that do not fit.

    >>> total_over("flops", layers("roberta-base", ["query", "value"]), "lora", counting="paper", r=16)
    608256
    """
    check_choice("quantity", quantity, QUANTITIES)
    check_choice("counting", counting, COUNTINGS)
    check_choice("method", method, tuple(DEFAULTS))
    count: Callable[[int, int, H], float]
    total: float = 0
    for layer in target_layers:
        h = resolved(method, layer, hyperparameters)
        if quantity == "parameters":
            count = exact.parameters_of(method) if counting == "exact" else lambda *a: paper.parameters(method, *a)
            total += count(layer.d_in, layer.d_out, h)
        elif counting == "exact":
            total += exact.forward(method, 1, layer.d_in, layer.d_out, h)
        else:
            total += paper.flops(method, layer.d_in, layer.d_out, h)
    return total


def model_parameters(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    counting: str = "exact",
    **hyperparameters: Any,
) -> int:
    """Return the trainable parameters of a method for a whole model, without its head.

    For every target, ``full`` counts all parameters of the model, and ``bitfit`` all biases, those of layer norms
    included. The other methods sum `costs.parameters` over the target layers; by default these are all linear layers.

    Raises: ValueError for the same reasons as `layers` and `costs.parameters`.

    >>> model_parameters("roberta-base", "full"), model_parameters("roberta-base", "bitfit")
    (124055040, 102144)
    >>> model_parameters("roberta-base", "c3a", ["query", "value"], block_size=128)
    110592
    """
    check_choice("counting", counting, COUNTINGS)
    target_layers = layers(model, target_modules)
    if method in ("full", "bitfit"):
        resolve(method, 1, 1, hyperparameters)
        named = skeleton(model).named_parameters()
        return sum(p.numel() for name, p in named if method == "full" or name.endswith("bias"))
    return round(total_over("parameters", target_layers, method, counting, **hyperparameters))


def resolved(method: str, layer: Layer, hyperparameters: dict[str, Any]) -> H:
    """Return the resolved hyperparameters of a method on a layer. A convolution multiplies by a dense ``ΔW``."""
    if layer.convolution and "backend" in DEFAULTS.get(method, {}):
        hyperparameters = {**hyperparameters, "backend": "dense"}
    return resolve(method, layer.d_in, layer.d_out, hyperparameters)


def _resolved(
    target_layers: list[Layer], method: str, hyperparameters: dict[str, Any], linear_only: bool = False
) -> Iterator[tuple[int, int, H]]:
    """Yield ``(d_in, d_out, h)`` of each layer, with resolved hyperparameters."""
    for layer in target_layers:
        if linear_only and layer.convolution:
            raise ValueError(
                f"layer {layer.name!r} is a convolution; bytes are counted for linear layers only, so leave it out of "
                f"target_modules"
            )
        yield layer.d_in, layer.d_out, resolved(method, layer, hyperparameters)


def model_flops(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int = 1,
    direction: str = "forward",
    **hyperparameters: Any,
) -> float:
    """Return the exact FLOPs that a method adds to one step of a whole model, summed over its target layers.

    `costs.total_over` has the papers' count.

    Args:
        tokens, direction: as in `costs.flops`. The tokens of a convolution are the positions of its output; every layer
            is counted with the same number of tokens.

    Raises: ValueError for the same reasons as `layers` and `costs.flops`.

    >>> model_flops("roberta-base", "lora", ["query", "value"], tokens=1024, r=8) == 24 * 1024 * 26112
    True
    """
    check_sizes(tokens=tokens)
    check_choice("direction", direction, DIRECTIONS)
    passes = {"forward": [exact.forward], "backward": [exact.backward], "both": [exact.forward, exact.backward]}
    found = list(_resolved(layers(model, target_modules), method, hyperparameters))
    return sum(count(method, tokens, *layer) for layer in found for count in passes[direction])


def model_merge_flops(
    model: Model, method: str, target_modules: list[str] | str | None = None, **hyperparameters: Any
) -> float:
    """Return the FLOPs of merging a whole model: the sum of `costs.merge_flops` over its target layers.

    Raises: ValueError for the same reasons as `layers` and `costs.merge_flops`.

    >>> model_merge_flops("roberta-base", "c3a", ["query", "value"]) == 24 * (768 * 768 + 768)
    True
    """
    found = _resolved(layers(model, target_modules), method, hyperparameters)
    return sum(exact.merge(method, *layer) for layer in found)


def model_moved_bytes(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int,
    dtype_bytes: int = 4,
    **hyperparameters: Any,
) -> int:
    """Return the least bytes that a method's forward pass moves in a whole model.

    Formula: the sum of `costs.moved_bytes` over the target layers.

    Raises: ValueError for the same reasons as `layers` and `costs.moved_bytes`, and for a convolution.

    >>> model_moved_bytes("roberta-base", "head", tokens=128)
    0
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    found = _resolved(layers(model, target_modules), method, hyperparameters, linear_only=True)
    return sum(memory.moved(method, tokens, *layer, dtype_bytes) for layer in found)


def model_saved_bytes(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int,
    dtype_bytes: int = 4,
    **hyperparameters: Any,
) -> int:
    """Return the bytes that a method saves for the backward pass of a whole model, each shared input once.

    Formula: the sum of `costs.saved_bytes` over the target layers, minus the repetitions of an input that query, key
    and value (or gate and up) of one parent module share. In a cross-attention, only key and value share one.

    Raises: ValueError for the same reasons as `layers` and `costs.saved_bytes`, and for a convolution.

    >>> one = model_saved_bytes("roberta-base", "c3a", ["query"], tokens=128)
    >>> both = model_saved_bytes("roberta-base", "c3a", ["query", "value"], tokens=128)
    >>> both == one == 12 * 128 * 768 * 4  # query and value share one input per layer
    True
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    target_layers = layers(model, target_modules)
    found = _resolved(target_layers, method, hyperparameters, linear_only=True)
    total = sum(memory.saved(method, tokens, *layer, dtype_bytes) for layer in found)
    if method in SAVE_INPUT:
        names = [(layer.name.rpartition("."), layer.d_in) for layer in target_layers]
        shared_inputs = Counter(
            (parent, group, name == members[0] and not CROSS_ATTENTION.isdisjoint(parent.split(".")), d_in)
            for (parent, _, name), d_in in names
            for group, members in enumerate(SAME_INPUT)
            if name in members
        )
        total -= sum((count - 1) * tokens * d_in * dtype_bytes for (*_, d_in), count in shared_inputs.items())
    return total
