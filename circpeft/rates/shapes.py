"""The shapes of the layers that a method adapts, from a model, its config or its name; no weight is loaded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple, TypeAlias

import peft
from torch import nn
from transformers import PretrainedConfig

from .. import models
from ..costs import MODELS
from ..costs.models import skeleton
from ..defaults import PROFILES
from ..files import expanded
from ..hf_peft import C3AConfig
from ..hf_peft.expert_targets import expert_shape, targeted_parameters
from ..methods.model import Parameters, Targets, checked_targets, target_sizes
from ..recipes.parsing import targets

Model: TypeAlias = nn.Module | PretrainedConfig | str


class Shape(NamedTuple):
    """A shape of adapted layers, and the number of layers that have it."""

    d_in: int
    d_out: int
    count: int  # type: ignore[assignment]  # tuples have a method of this name


def name_of(model: Model) -> str:
    """Return the name of a model: as it is given, or the hub id or class that a module or config has.

    >>> name_of("minilm"), name_of(nn.Linear(2, 2))
    ('minilm', 'Linear')
    """
    if isinstance(model, str):
        return model
    config = model if isinstance(model, PretrainedConfig) else getattr(model, "config", None)
    return getattr(config, "_name_or_path", "") or type(model).__name__


def default_targets(model: Model) -> Targets:
    """Return the layers that are adapted if none are named: those of the course for its models, else all linear ones.

    >>> default_targets("minilm"), default_targets("owner/name")
    (('query', 'key', 'value', 'dense'), 'all-linear')
    """
    of_course = {profiles["cpu"]["model"]: profiles["cpu"]["target_modules"] for profiles in PROFILES.values()}
    return targets(of_course[model]) if isinstance(model, str) and model in of_course else "all-linear"


def outline(model: Model) -> nn.Module:
    """Return a model without head on the meta device, from a config, a folder with one, or a name; a module as it is.

    Raises: FileNotFoundError for a name that does not exist, with the nearest one; ValueError for a module that has
    adapters already; TypeError for anything else.
    """
    if isinstance(model, nn.Module):
        if hasattr(model, "peft_config"):
            raise ValueError("the model has adapters already; give the model without them, or its name")
        return model
    if isinstance(model, PretrainedConfig) or (isinstance(model, str) and model in MODELS):
        return skeleton(model)
    if not isinstance(model, (str, Path)):
        raise TypeError(f"model must be a module, a config, a folder or a name, got {model!r}")
    folder = expanded(model)
    if not (Path(folder) / "config.json").is_file():
        folder = models.resolve(str(model))
    with models.hub_errors(str(model)), models.readable(str(model), "config"):
        return skeleton(folder)


def adapted_shapes(model: Model, target_modules: Targets = None, target_parameters: Parameters = None) -> list[Shape]:
    """Return the distinct shapes of the target layers and experts, the most frequent first.

    Raises: whatever `outline` raises; ValueError for a target that matches no layer, with the nearest one; TypeError
    for a target parameter that is not a fused weight of experts.

    >>> adapted_shapes("roberta-base", ["query", "output.dense"])
    [Shape(d_in=768, d_out=768, count=24), Shape(d_in=3072, d_out=768, count=12)]
    """
    whole = outline(model)
    config = peft.LoraConfig(target_modules=checked_targets(whole, target_modules or default_targets(model)))
    sizes = Counter(target_sizes(whole, config).values()) + _expert_sizes(whole, target_parameters)
    if not sizes:
        raise ValueError(f"model {name_of(model)!r} has no linear layer to adapt; name layers in target_modules")
    return [Shape(*size, count) for size, count in sizes.most_common()]


def _expert_sizes(model: nn.Module, target_parameters: Parameters) -> Counter[tuple[int, int]]:
    sizes: Counter[tuple[int, int]] = Counter()
    if names := list(target_parameters or ()):
        config = C3AConfig(target_modules=[], target_parameters=names)
        for name, parameters in targeted_parameters(config, model).items():
            for parameter in parameters:
                shape = expert_shape(model.get_submodule(name), parameter, f"{name}.{parameter}")
                sizes[shape.d_in, shape.d_out] += shape.num_experts
    return sizes
