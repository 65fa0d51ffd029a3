"""The learnt change of two watched layers, as singular values."""

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


def watched(base: nn.Module, recipe: Recipe) -> dict[str, Tensor]:
    """The weights, before training, of two layers whose ``ΔW`` is looked at: of the targets, the deepest square one and
    the deepest other one.
    """
    square, rectangular = "", ""
    for name, layer in base.named_modules():
        inside = any(part.isdigit() for part in name.split("."))  # of the stack of layers, not a pooler or head
        linear = type(layer) in (nn.Linear, Conv1D) or is_quantized(layer)
        if linear and inside and _is_target(name, recipe.target_modules):
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


def spectrum(model: nn.Module, name: str, before: Tensor) -> list[float]:
    """Singular values of the layer's ``ΔW``: of what the layer does to the unit vectors, whatever the method."""
    layer = (model.get_base_model() if isinstance(model, PeftModel) else model).get_submodule(name)
    # Under FSDP a process has a part of each parameter; every one of them has to call this, and gathers the whole.
    whole = {id(p): nn.Parameter(p.full_tensor()) for p in layer.parameters() if hasattr(p, "full_tensor")}
    rounded = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
    dtype = torch.float64
    if is_quantized(rounded):  # its product rounds its inputs, too; PEFT's (IA)³ takes float32 alone there
        dtype = torch.float32
        whole[id(rounded)] = float_layer(rounded, dtype)
    layer = deepcopy(layer, whole).eval().cpu().to(dtype)
    units = torch.eye(before.shape[1], dtype=dtype)
    with torch.no_grad():
        weight = (layer(units) - layer(torch.zeros_like(units[:1]))).T
    return torch.linalg.svdvals(weight.double() - before.cpu().double()).tolist()
