"""Costs of an adapter in closed form: parameters, FLOPs, bytes saved and moved, and merging.

There are two ways of counting. ``"exact"`` counts every multiply and add as it is computed, and agrees with measured
counts (`circpeft.count_flops`); it separates work done once per step from work done for every token. ``"paper"`` uses
the formulas of the two papers, per layer and token, and reproduces their printed figures.
"""

from __future__ import annotations

from typing import Any

from . import exact, memory, paper
from .hyperparameters import DEFAULTS, check_choice, check_sizes, resolve
from .model_totals import (
    COUNTINGS,
    DIRECTIONS,
    model_flops,
    model_merge_flops,
    model_moved_bytes,
    model_parameters,
    model_saved_bytes,
    total_over,
)
from .models import MODELS, Layer, layers

METHODS = tuple(DEFAULTS)


def parameters(method: str, d_in: int, d_out: int, counting: str = "exact", **hyperparameters: Any) -> int:
    """Return the trainable parameters of a method on one layer ``d_in -> d_out``.

    Formulas: LoRA ``r (d_in + d_out)``; C3A ``d_in d_out / b`` (C3A section 3.4); CDVFT ``d_in + d_out + m n b`` (Eq.
    12). `costs.exact` has the others, and `costs.paper` those that the papers count differently.

    Args:
        method: one of `METHODS`.
        counting: "exact" or "paper". The papers count VeRA with the larger side, BOFT's skew-symmetric entries, LaMDA's
            average while it freezes, and CDVFT's circulants padded to squares.
        hyperparameters: the names of `costs.hyperparameters.DEFAULTS`, or the papers' letters (b, p, n, m).

    Raises: ValueError for an unknown method, counting or hyperparameter, or a hyperparameter that does not fit the
    layer.

    >>> parameters("lora", 768, 768, r=16), parameters("c3a", 768, 768, block_size=128), parameters("cdvft", 768, 768)
    (24576, 4608, 2304)
    """
    check_choice("counting", counting, COUNTINGS)
    h = resolve(method, d_in, d_out, hyperparameters)
    return (
        round(paper.parameters(method, d_in, d_out, h))
        if counting == "paper"
        else exact.parameters_of(method)(d_in, d_out, h)
    )


def flops(
    method: str,
    d_in: int,
    d_out: int,
    counting: str = "exact",
    *,
    tokens: int = 1,
    direction: str = "forward",
    **hyperparameters: Any,
) -> float:
    """Return the FLOPs that a method adds to a frozen layer ``d_in -> d_out`` in one step.

    Args:
        counting: "exact" (as computed), or "paper" (the forward pass of one token, `costs.paper`).
        tokens: the tokens of the step. Exact counts are linear in it; ``tokens=0`` gives the work done once per step.
        direction: "forward", "backward" (with the gradient of the layer's input) or "both".

    Raises: ValueError for the same reasons as `parameters`; for ``counting="paper"`` with a method that neither paper
    counts, or with other values of ``tokens`` and ``direction`` than their defaults.

    >>> round(flops("cdvft", 768, 768, counting="paper"))
    113491
    >>> flops("lora", 768, 768, tokens=1), flops("lora", 768, 768, tokens=0)
    (26112, 0)
    """
    check_choice("counting", counting, COUNTINGS)
    check_sizes(tokens=tokens)
    h = resolve(method, d_in, d_out, hyperparameters)
    check_choice("direction", direction, DIRECTIONS)
    if counting == "paper":
        if tokens != 1 or direction != "forward":
            raise ValueError(
                f"counting='paper' counts the forward pass of one token, got tokens={tokens}, direction={direction!r}; "
                f"use counting='exact'"
            )
        return paper.flops(method, d_in, d_out, h)
    total = 0.0 if direction == "backward" else exact.forward(method, tokens, d_in, d_out, h)
    return total if direction == "forward" else total + exact.backward(method, tokens, d_in, d_out, h)


def saved_bytes(method: str, d_in: int, d_out: int, tokens: int, dtype_bytes: int = 4, **hyperparameters: Any) -> int:
    """Return the bytes that a method saves for the backward pass on one layer, beyond its parameters.

    Layers with the same input (query, key, value) save it only once; `model_saved_bytes` takes this into account.

    Args:
        tokens: the tokens of the step.
        dtype_bytes: bytes per number of an activation: 4 for float32, 2 for bfloat16. Adapters are float32.

    Raises: ValueError for the same reasons as `parameters`.

    >>> saved_bytes("lora", 768, 768, tokens=100, r=8)  # x and A x
    310400
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    return memory.saved(method, tokens, d_in, d_out, resolve(method, d_in, d_out, hyperparameters), dtype_bytes)


def moved_bytes(method: str, d_in: int, d_out: int, tokens: int, dtype_bytes: int = 4, **hyperparameters: Any) -> int:
    """Return the least bytes that a method's forward pass moves between memory and processor on one layer.

    Formula: x read, the layer's output read and written, parameters and frozen projections read, and, if the method
    builds one, a dense matrix written and read. An implementation without fusion moves more.

    Args:
        tokens: the tokens of the step.
        dtype_bytes: bytes per number of an activation: 4 for float32, 2 for bfloat16. Adapters are float32.

    Raises: ValueError for the same reasons as `parameters`.

    >>> moved_bytes("c3a", 768, 768, tokens=1000, dtype_bytes=2) / (1000 * 768)  # 6 bytes per number, and the kernel
    6.004
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    return memory.moved(method, tokens, d_in, d_out, resolve(method, d_in, d_out, hyperparameters), dtype_bytes)


def merge_flops(method: str, d_in: int, d_out: int, **hyperparameters: Any) -> float:
    """Return the FLOPs of merging one layer: forming ``ΔW`` and adding it (BOFT and (IA)³ multiply the weight instead).

    C3A and CDVFT build ΔW by indexing, which needs no arithmetic.

    Raises: ValueError for the same reasons as `parameters`.

    >>> merge_flops("lora", 768, 768, r=8) / merge_flops("c3a", 768, 768)
    17.97...
    """
    return exact.merge(method, d_in, d_out, resolve(method, d_in, d_out, hyperparameters))


__all__ = [
    "COUNTINGS",
    "METHODS",
    "MODELS",
    "Layer",
    "flops",
    "layers",
    "merge_flops",
    "total_over",
    "model_flops",
    "model_merge_flops",
    "model_moved_bytes",
    "model_parameters",
    "model_saved_bytes",
    "moved_bytes",
    "parameters",
    "saved_bytes",
]
