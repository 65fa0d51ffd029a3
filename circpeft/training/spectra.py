"""The learnt change of two watched layers, as singular values."""

from __future__ import annotations

import re
from copy import deepcopy

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..recipes import Recipe


def watched(base: nn.Module, recipe: Recipe) -> dict[str, Tensor]:
    """The weights, before training, of two layers whose ``ΔW`` is looked at: of the targets, the deepest square one and
    the deepest other one.
    """
    square, rectangular = "", ""
    for name, layer in base.named_modules():
        inside = any(part.isdigit() for part in name.split("."))  # of the stack of layers, not a pooler or head
        if type(layer) in (nn.Linear, Conv1D) and inside and _is_target(name, recipe.target_modules):
            if layer.weight.shape[0] == layer.weight.shape[1]:
                square = name
            else:
                rectangular = name
    return {name: _weight(base.get_submodule(name)).clone() for name in (square, rectangular) if name}


def _weight(layer: nn.Module) -> Tensor:
    return layer.weight.detach().T if isinstance(layer, Conv1D) else layer.weight.detach()


def _is_target(name: str, targets: tuple[str, ...] | str) -> bool:
    if isinstance(targets, str):
        return targets in ("", "all-linear") or re.fullmatch(targets, name) is not None
    return not targets or any(f".{name}".endswith(f".{target}") for target in targets)


def spectrum(model: nn.Module, name: str, before: Tensor) -> list[float]:
    """Singular values of the layer's ``ΔW``: of what the layer does to the unit vectors, whatever the method."""
    layer = (model.get_base_model() if isinstance(model, PeftModel) else model).get_submodule(name)
    # Under FSDP a process has a part of each parameter; every one of them has to call this, and gathers the whole.
    whole = {id(p): nn.Parameter(p.full_tensor()) for p in layer.parameters() if hasattr(p, "full_tensor")}
    layer = deepcopy(layer, whole).eval().cpu().double()
    units = torch.eye(before.shape[1], dtype=torch.float64)
    with torch.no_grad():
        weight = (layer(units) - layer(torch.zeros_like(units[:1]))).T
    return torch.linalg.svdvals(weight - before.cpu().double()).tolist()
