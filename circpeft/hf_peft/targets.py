"""Names of target modules: the layers that they match, and names that match only given layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..suggest import nearest

LINEAR = (nn.Linear, Conv1D, BaseTunerLayer)


def last_parts(names: Iterable[str]) -> list[str]:
    """Return the last parts of dotted names, sorted, each once."""
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the named modules of a model, without those inside adapted layers."""
    inside = tuple(f"{name}." for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer))
    return [(name, layer) for name, layer in model.named_modules() if name and not name.startswith(inside)]


def unmatched_targets(model: nn.Module, targets: list[str] | set[str]) -> dict[str, str]:
    """Return the target names that match no module of a model, each with a hint of the nearest names that match."""
    layers = layers_of(model)
    linear = last_parts(name for name, layer in layers if isinstance(layer, LINEAR))
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name, _ in layers)]
    return {target: nearest(target, linear) for target in missing}


def exact_targets(model: nn.Module, names: Iterable[str]) -> list[str] | str:
    """Return ``target_modules`` that match only the layers with these full names.

    PEFT also accepts a name as the end of a longer one. If the model has such a layer, the result is a regex.
    """
    names = sorted(names)
    suffixes = tuple(f".{name}" for name in names)
    others = (name for name, layer in layers_of(model) if isinstance(layer, LINEAR) and name not in names)
    return "|".join(map(re.escape, names)) if any(name.endswith(suffixes) for name in others) else names
