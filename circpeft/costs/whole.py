"""Costs of a method over a whole model: sums over the layers that it adapts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PretrainedConfig

from ..suggest import nearest
from . import exact, memory, paper
from .hyperparameters import DEFAULTS, check_sizes, resolve
from .models import Layer, layers, skeleton

Model = str | Path | PretrainedConfig | nn.Module
COUNTINGS, DIRECTIONS, QUANTITIES = ("exact", "paper"), ("forward", "backward", "both"), ("parameters", "flops")
# Layers of one parent that have the same input, which is then kept once, and the methods that keep it as it is.
SAME_INPUT = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"), ("q", "k", "v"))
KEEP_INPUT = ("full", "lora", "dora", "fourierft", "c3a", "cdvft")


def one_of(what: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless a value is one of some names."""
    if value not in choices:
        raise ValueError(f"unknown {what} {value!r}; {nearest(value, choices)}")


def total_over(
    quantity: str, found: list[Layer], method: str, counting: str = "exact", **hyperparameters: Any
) -> float:
    """Sum of ``"parameters"`` or one token's forward ``"flops"`` over layers, rounded nowhere in between.

    Raises: ValueError for an unknown quantity, counting or method, or hyperparameters that do not fit.

    >>> total_over("flops", layers("roberta-base", ["query", "value"]), "lora", counting="paper", r=16)
    608256
    """
    one_of("quantity", quantity, QUANTITIES)
    one_of("counting", counting, COUNTINGS)
    one_of("method", method, tuple(DEFAULTS))
    total = 0
    for layer in found:
        h = resolve(method, layer.d_in, layer.d_out, hyperparameters)
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
    """Trainable parameters of a method over a whole model, head left out.

    ``full`` counts every parameter of the model and ``bitfit`` every bias (those of layer norms too), whatever the
    targets; the others sum `costs.parameters` over the target layers, all linear ones by default.

    Raises: ValueError as `layers` and `costs.parameters`.

    >>> model_parameters("roberta-base", "full"), model_parameters("roberta-base", "bitfit")
    (124055040, 102144)
    >>> model_parameters("roberta-base", "c3a", ["query", "value"], block_size=128)
    110592
    """
    one_of("counting", counting, COUNTINGS)
    found = layers(model, target_modules)
    if method in ("full", "bitfit"):
        resolve(method, 1, 1, hyperparameters)
        named = skeleton(model).named_parameters()
        return sum(p.numel() for name, p in named if method == "full" or name.endswith("bias"))
    return round(total_over("parameters", found, method, counting, **hyperparameters))


def _each(found: list[Layer], method: str, hyperparameters: dict[str, Any]) -> Iterator[tuple[int, int, dict]]:
    """Sizes and resolved hyperparameters, layer by layer."""
    for layer in found:
        yield layer.d_in, layer.d_out, resolve(method, layer.d_in, layer.d_out, hyperparameters)


def model_flops(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int = 1,
    direction: str = "forward",
    **hyperparameters: Any,
) -> float:
    """Exact FLOPs that a method adds to one step of a whole model, summed over its target layers.

    Args: ``tokens``, ``direction``: as in `costs.flops`. For the papers' count see `costs.total_over`.

    Raises: ValueError as `layers` and `costs.flops`.

    >>> model_flops("roberta-base", "lora", ["query", "value"], tokens=1024, r=8) == 24 * 1024 * 26112
    True
    """
    check_sizes(tokens=tokens)
    one_of("direction", direction, DIRECTIONS)
    passes = {"forward": [exact.forward], "backward": [exact.backward], "both": [exact.forward, exact.backward]}
    found = list(_each(layers(model, target_modules), method, hyperparameters))
    return sum(count(method, tokens, *one) for one in found for count in passes[direction])


def model_merge_flops(
    model: Model, method: str, target_modules: list[str] | str | None = None, **hyperparameters: Any
) -> float:
    """FLOPs of merging a whole model: `costs.merge_flops` over its target layers.

    >>> model_merge_flops("roberta-base", "c3a", ["query", "value"]) == 24 * (768 * 768 + 768)
    True
    """
    return sum(exact.merge(method, *one) for one in _each(layers(model, target_modules), method, hyperparameters))


def model_moved_bytes(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int,
    dtype_bytes: int = 4,
    **hyperparameters: Any,
) -> int:
    """The least bytes that a method's forward pass moves in a whole model: `costs.moved_bytes` over its target layers.

    >>> model_moved_bytes("roberta-base", "head", tokens=128)
    0
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    found = _each(layers(model, target_modules), method, hyperparameters)
    return sum(memory.moved(method, tokens, *one, dtype_bytes) for one in found)


def model_saved_bytes(
    model: Model,
    method: str,
    target_modules: list[str] | str | None = None,
    *,
    tokens: int,
    dtype_bytes: int = 4,
    **hyperparameters: Any,
) -> int:
    """Bytes that a method keeps for the backward pass of a whole model, an input that layers share counted once.

    Formula: `costs.saved_bytes` over the target layers, less the inputs that query, key and value (or gate and up) of
    one parent keep again.

    >>> one = model_saved_bytes("roberta-base", "c3a", ["query"], tokens=128)
    >>> both = model_saved_bytes("roberta-base", "c3a", ["query", "value"], tokens=128)
    >>> both == one == 12 * 128 * 768 * 4  # an input a layer, which query and value share
    True
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    found = layers(model, target_modules)
    total = sum(memory.saved(method, tokens, *one, dtype_bytes) for one in _each(found, method, hyperparameters))
    if method in KEEP_INPUT:
        places = [(layer.name.rpartition("."), layer.d_in) for layer in found]
        groups = Counter(
            (parent, k, d_in)
            for (parent, _, name), d_in in places
            for k, names in enumerate(SAME_INPUT)
            if name in names
        )
        total -= sum((count - 1) * tokens * d_in * dtype_bytes for (_, _, d_in), count in groups.items())
    return total
