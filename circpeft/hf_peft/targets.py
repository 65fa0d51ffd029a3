"""Names of target modules: the layers that they match, and names that match only given layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer, _ExcludedModule, check_target_module_exists
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..fused_experts import expert_parameters, target_names
from ..suggest import nearest
from .saved_keys import plain_name

ADAPTABLE = (nn.Linear, Conv1D, nn.Conv2d, BaseTunerLayer)


def last_parts(names: Iterable[str]) -> list[str]:
    """Return the last parts of dotted names, sorted, each once."""
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def is_target(config: PeftConfig, name: str) -> object:
    """Return PEFT's answer to whether a config adapts the layer with this full name, as a true or false value.

    The parts that wrappers of torch add to a name, such as ``_orig_mod`` of `torch.compile`, do not count.
    """
    plain = plain_name(name)
    result = check_target_module_exists(config, plain) if plain else False
    if result or isinstance(result, _ExcludedModule) or not plain or plain == name:
        return result
    return check_target_module_exists(config, name)  # a config that was saved for a wrapped model may have these parts


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the named modules of a model, without those inside adapted layers."""
    inside = tuple(f"{name}." for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer))
    return [(name, layer) for name, layer in model.named_modules() if name and not name.startswith(inside)]


def unmatched_targets(model: nn.Module, targets: list[str] | set[str]) -> dict[str, str]:
    """Return the target names that match no module of a model, each with a hint of the nearest names that match.

    For the name of fused experts, which are parameters, the hint says how to adapt those.
    """
    layers = layers_of(model)
    adaptable = last_parts(name for name, layer in layers if isinstance(layer, ADAPTABLE))
    names = {f".{form}" for name, _ in layers for form in (name, plain_name(name))}
    missing = [target for target in targets if not any(name.endswith(f".{target}") for name in names)]
    experts = named_experts(model, missing)
    return {
        target: f"it is a parameter of experts, which target_parameters={experts[target]!r} adapts"
        if target in experts
        else nearest(target, adaptable)
        for target in missing
    }


def named_experts(model: nn.Module, targets: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of ``targets`` that are parameters of experts, each with the ``target_parameters`` to write."""
    names = list(expert_parameters(model))
    named = {target: [name for name in names if f".{name}".endswith(f".{target}")] for target in targets}
    return {target: target_names(matched) for target, matched in named.items() if matched}


def exact_targets(model: nn.Module, names: Iterable[str]) -> list[str] | str:
    """Return ``target_modules`` that match only the layers with these full names.

    PEFT also accepts a name as the end of a longer one. If the model has such a layer, the result is a regex.
    """
    names = sorted({plain_name(name) for name in names})
    suffixes = tuple(f".{name}" for name in names)
    adaptable = (plain_name(name) for name, layer in layers_of(model) if isinstance(layer, ADAPTABLE))
    others = (name for name in adaptable if name not in names)
    return "|".join(map(re.escape, names)) if any(name.endswith(suffixes) for name in others) else names
