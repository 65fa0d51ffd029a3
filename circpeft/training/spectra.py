"""The learnt change ``ΔW`` of a layer, and its singular values."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..hf_peft.base_weights import float_layer, float_weight, is_quantized, linear_shape
from ..recipes import Recipe


def watched_weights(base: nn.Module, recipe: Recipe) -> dict[str, Tensor]:
    """Return copies of the weights of two target layers before training: the deepest square one and the deepest other.

    Only layers in the numbered stack of the model count, not a pooler or a head.
    """
    square, rectangular = "", ""
    for name, layer in base.named_modules():
        in_stack = any(part.isdigit() for part in name.split("."))
        linear = type(layer) in (nn.Linear, Conv1D) or is_quantized(layer)
        if linear and in_stack and is_target(name, recipe.target_modules):
            d_in, d_out = linear_shape(layer, name)
            if d_in == d_out:
                square = name
            else:
                rectangular = name
    return {name: weight_of(base.get_submodule(name)).clone() for name in (square, rectangular) if name}


def weight_of(layer: nn.Module) -> Tensor:
    """Return the weight of a linear layer as floats, ``(d_out, d_in)`` also for a Conv1D. It may be a view."""
    weight = float_weight(layer)
    return weight.T if isinstance(layer, Conv1D) else weight


def is_target(name: str, targets: tuple[str, ...] | str) -> bool:
    """Tell whether a recipe's target modules name a layer of the stack."""
    if isinstance(targets, str):
        return targets in ("", "all-linear") or re.fullmatch(targets, name) is not None
    return not targets or any(f".{name}".endswith(f".{target}") for target in targets)


def spectrum(model: nn.Module, name: str, initial_weight: Tensor) -> list[float]:
    """Return the singular values of a layer's ``ΔW``, the largest first.

    Under FSDP every process has to call this: each has a part of every parameter.

    Args:
        model: the trained model.
        name: name of the layer in the base model.
        initial_weight: ``W: (d_out, d_in)``, from `watched_weights`.
    """
    return torch.linalg.svdvals(learnt_change(model, name, initial_weight)).tolist()


def learnt_change(model: nn.Module, name: str, initial_weight: Tensor | None = None, step: int = 1) -> Tensor:
    """Return ``ΔW: (d_out, d_in)`` of a layer, or every ``step``-th column of it, on the CPU in float64.

    ``W + ΔW`` is taken from the layer's outputs for the unit vectors, so it works for every method. No random numbers
    are drawn, and the model stays as it is. Under FSDP every process has to call this: each has a part of every
    parameter.

    Args:
        model: the model.
        name: name of the layer in the base model.
        initial_weight: ``W``; None takes the weight of an adapter's frozen base layer.
        step: distance of the columns.
    """
    layer: Any = base_model(model).get_submodule(name)
    # deepcopy takes these in place of the originals.
    replaced: dict[int, Any] = {
        id(p): nn.Parameter(p.full_tensor()) for p in layer.parameters() if hasattr(p, "full_tensor")
    }
    base_layer = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
    dtype = torch.float64
    if is_quantized(base_layer):  # its product would round the unit vectors; PEFT's (IA)³ takes only float32 there
        dtype = torch.float32
        replaced[id(base_layer)] = float_layer(base_layer, dtype)
    layer = deepcopy(layer, replaced).eval().cpu().to(dtype)
    if initial_weight is None:
        initial_weight = weight_of(layer.get_base_layer())
    units = torch.eye(initial_weight.shape[1], dtype=dtype)[::step]
    with torch.no_grad():
        weight = (layer(units) - layer(torch.zeros_like(units[:1]))).T
    return weight.double() - initial_weight[:, ::step].detach().cpu().double()


def base_model(model: nn.Module) -> nn.Module:
    """Return the model in which a method's layers have the names of the base model."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def circulant_singular_values(kernels: Tensor) -> Tensor:
    """Return the singular values of a block-circulant matrix with ``kernels: (m, n, b)``, the largest first.

    The Fourier transform makes the matrix block-diagonal: one block ``F_k: (m, n)`` for each frequency ``k``, with the
    entries ``F_k = sum_t kernels[..., t] exp(-2πi k t / b)``. The singular values of the ``F_k`` are those of the
    matrix, in either layout. For one block they are the magnitudes of the kernel's transform.

    Shapes: ``(m, n, b) -> (min(m, n) * b,)``.

    >>> circulant_singular_values(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]).double()).round(decimals=4).tolist()
    [2.0, 1.4142, 1.4142, 0.0]
    """
    blocks = torch.fft.fft(kernels).permute(2, 0, 1)
    return torch.linalg.svdvals(blocks).flatten().sort(descending=True).values
