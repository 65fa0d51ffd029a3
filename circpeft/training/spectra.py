"""The learnt change ``ΔW`` of two layers, as singular values."""

from __future__ import annotations

import re
from copy import deepcopy

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
        if linear and in_stack and _is_target(name, recipe.target_modules):
            d_in, d_out = linear_shape(layer, name)
            if d_in == d_out:
                square = name
            else:
                rectangular = name
    return {name: _weight(base.get_submodule(name)).clone() for name in (square, rectangular) if name}


def _weight(layer: nn.Module) -> Tensor:
    weight = float_weight(layer)
    return weight.T if isinstance(layer, Conv1D) else weight


def _is_target(name: str, targets: tuple[str, ...] | str) -> bool:
    if isinstance(targets, str):
        return targets in ("", "all-linear") or re.fullmatch(targets, name) is not None
    return not targets or any(f".{name}".endswith(f".{target}") for target in targets)


def spectrum(model: nn.Module, name: str, initial_weight: Tensor) -> list[float]:
    """Return the singular values of a layer's ``ΔW``, the largest first.

    ``W + ΔW`` is taken from the layer's outputs for the unit vectors, so it works for every method. Under FSDP every
    process has to call this: each has a part of every parameter.

    Args:
        model: the trained model.
        name: name of the layer in the base model.
        initial_weight: ``W: (d_out, d_in)``, from `watched_weights`.
    """
    layer = (model.get_base_model() if isinstance(model, PeftModel) else model).get_submodule(name)
    # deepcopy takes these in place of the originals.
    replaced = {id(p): nn.Parameter(p.full_tensor()) for p in layer.parameters() if hasattr(p, "full_tensor")}
    base_layer = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
    dtype = torch.float64
    if is_quantized(base_layer):  # its product would round the unit vectors; PEFT's (IA)³ takes only float32 there
        dtype = torch.float32
        replaced[id(base_layer)] = float_layer(base_layer, dtype)
    layer = deepcopy(layer, replaced).eval().cpu().to(dtype)
    units = torch.eye(initial_weight.shape[1], dtype=dtype)
    with torch.no_grad():
        weight = (layer(units) - layer(torch.zeros_like(units[:1]))).T
    return torch.linalg.svdvals(weight.double() - initial_weight.cpu().double()).tolist()
