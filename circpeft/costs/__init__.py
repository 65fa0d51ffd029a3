"""What an adapter costs, in closed form: parameters, FLOPs, bytes saved and moved, and merging.

Two ways of counting. ``"exact"``: every multiply and add as it is computed, so that measured counts agree
(`circpeft.count_flops`); what is done once a step is kept apart from what is done for every token. ``"paper"``: what
the formulas of the two papers count, per layer and token, so that their printed figures come out.
"""

from __future__ import annotations

from typing import Any

from . import exact, memory, paper
from .hyperparameters import DEFAULTS, check_sizes, resolve
from .models import MODELS, Layer, layers
from .whole import (
    COUNTINGS,
    DIRECTIONS,
    model_flops,
    model_merge_flops,
    model_moved_bytes,
    model_parameters,
    model_saved_bytes,
    one_of,
    total_over,
)

METHODS = tuple(DEFAULTS)


def parameters(method: str, d_in: int, d_out: int, counting: str = "exact", **hyperparameters: Any) -> int:
    """Trainable parameters of a method on one layer ``d_in -> d_out``.

    Formulas: LoRA ``r (d_in + d_out)``; C3A ``d_in d_out / b`` (C3A section 3.4); CDVFT ``d_in + d_out + m n b`` (Eq.
    12); the others in `costs.exact`, and where the papers count otherwise in `costs.paper`.

    Args:
        method: one of `METHODS`.
        counting: "exact", or "paper": VeRA with the larger side, BOFT's skew-symmetric entries, LaMDA's average over
            its freezing, CDVFT's circulants padded to squares.
        hyperparameters: those of `costs.hyperparameters.DEFAULTS`; the papers' letters (b, p, n, m) do as well.

    Raises: ValueError for an unknown method, counting or hyperparameter, or one that does not fit the layer.

    >>> parameters("lora", 768, 768, r=16), parameters("c3a", 768, 768, block_size=128), parameters("cdvft", 768, 768)
    (24576, 4608, 2304)
    """
    one_of("counting", counting, COUNTINGS)
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
    """FLOPs that a method adds to a frozen layer ``d_in -> d_out`` in one step.

    Args:
        counting: "exact" (as computed), or "paper" (one token's forward pass, `costs.paper`).
        tokens: in the step. Exact counts are linear in it, and ``tokens=0`` gives what is done once a step.
        direction: "forward", "backward" (with the gradient of the layer's input) or "both".

    Raises: ValueError as `parameters`; for a method whose FLOPs neither paper counts; for tokens or a direction given
    with ``counting="paper"``, which has neither.

    >>> round(flops("cdvft", 768, 768, counting="paper"))
    113491
    >>> flops("lora", 768, 768, tokens=1), flops("lora", 768, 768, tokens=0)
    (26112, 0)
    """
    one_of("counting", counting, COUNTINGS)
    check_sizes(tokens=tokens)
    h = resolve(method, d_in, d_out, hyperparameters)
    one_of("direction", direction, DIRECTIONS)
    if counting == "paper":
        if tokens != 1 or direction != "forward":
            raise ValueError(
                f"counting='paper' counts one token's forward pass, got tokens={tokens}, direction={direction!r}; "
                f"use counting='exact'"
            )
        return paper.flops(method, d_in, d_out, h)
    total = 0.0 if direction == "backward" else exact.forward(method, tokens, d_in, d_out, h)
    return total if direction == "forward" else total + exact.backward(method, tokens, d_in, d_out, h)


def saved_bytes(method: str, d_in: int, d_out: int, tokens: int, dtype_bytes: int = 4, **hyperparameters: Any) -> int:
    """Bytes that a method keeps between forward and backward pass on one layer, beyond its parameters.

    Args:
        dtype_bytes: of an activation: 4 for float32, 2 for bfloat16. Adapters are float32.

    Layers with the same input (query, key, value) share the input that they keep: count it once for them.

    Raises: ValueError as `parameters`.

    >>> saved_bytes("lora", 768, 768, tokens=100, r=8)  # x and A x
    310400
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    return memory.saved(method, tokens, d_in, d_out, resolve(method, d_in, d_out, hyperparameters), dtype_bytes)


def moved_bytes(method: str, d_in: int, d_out: int, tokens: int, dtype_bytes: int = 4, **hyperparameters: Any) -> int:
    """The least bytes that a method's forward pass moves between memory and processor on one layer.

    Formula: x read, the layer's output read and written, parameters and frozen projections read, and a dense matrix
    written and read where the method builds one. An implementation that fuses nothing moves more.

    Raises: ValueError as `parameters`.

    >>> moved_bytes("c3a", 768, 768, tokens=1000, dtype_bytes=2) / (1000 * 768)  # 6 bytes a number, and the kernel
    6.004
    """
    check_sizes(tokens=tokens, dtype_bytes=dtype_bytes)
    return memory.moved(method, tokens, d_in, d_out, resolve(method, d_in, d_out, hyperparameters), dtype_bytes)


def merge_flops(method: str, d_in: int, d_out: int, **hyperparameters: Any) -> float:
    """FLOPs of merging one layer: forming ``ΔW`` and adding it (BOFT and (IA)³ multiply the weight instead).

    C3A and CDVFT build ΔW by indexing, which costs no arithmetic.

    Raises: ValueError as `parameters`.

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
