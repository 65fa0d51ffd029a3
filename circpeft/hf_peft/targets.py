"""Names of target modules: which of a model's layers they match, and names that match given layers and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..suggest import nearest

LINEAR = (nn.Linear, Conv1D, BaseTunerLayer)


def ends(names: Iterable[str]) -> list[str]:
    """The last parts of dotted names, each once."""
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The named modules of a model, without what lies inside adapted layers."""
    inside = tuple(f"{name}." for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer))
    return [(name, layer) for name, layer in model.named_modules() if name and not name.startswith(inside)]


def unmatched_targets(model: nn.Module, targets: list[str] | set[str]) -> dict[str, str]:
    """Target names that match no module of a model, each with a hint of the nearest names that do."""
    layers = layers_of(model)
    linear = ends(name for name, layer in layers if isinstance(layer, LINEAR))
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name, _ in layers)]
    return {target: nearest(target, linear) for target in missing}


def exact_targets(model: nn.Module, names: Iterable[str]) -> list[str] | str:
    """``target_modules`` for the layers of these full names and no others.

    PEFT also takes a name for the end of a longer one: where such a layer is there, this is a regex.
    """
    names = sorted(names)
    ending = tuple(f".{name}" for name in names)
    others = (name for name, layer in layers_of(model) if isinstance(layer, LINEAR) and name not in names)
    return "|".join(map(re.escape, names)) if any(name.endswith(ending) for name in others) else names
