"""The linear layers and convolutions of a model, from its transformers config and without its weights."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig
from transformers.pytorch_utils import Conv1D

from ..fused_experts import expert_parameters, target_names
from ..suggest import nearest

_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
_LLAMA2 = {"vocab_size": 32000}
# The models of both papers with their published sizes, so that no download is needed.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta-base": ("roberta", _ROBERTA),
    "roberta-large": ("roberta", _ROBERTA | _LARGE),
    "vit-base": ("vit", {}),
    "vit-large": ("vit", _LARGE),
    "llama2-7b": ("llama", _LLAMA2),
    "llama2-13b": (
        "llama",
        _LLAMA2 | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    ),
    "llama3-8b": ("llama", {"vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8}),
}


@dataclass(frozen=True)
class Layer:
    """A linear layer or a convolution of a model: its full name and its sizes.

    For a convolution, ``d_in`` is the size of a patch in one group, and ``d_out`` the number of output channels. Its
    tokens are the positions of its output.

    >>> Layer("encoder.layer.0.attention.self.query", 768, 768).d_in
    768
    """

    name: str
    d_in: int
    d_out: int
    convolution: bool = False


def _config(model: str | Path | PretrainedConfig) -> PretrainedConfig:
    if isinstance(model, PretrainedConfig):
        return model
    if str(model) in MODELS:
        kind, fields = MODELS[str(model)]
        return AutoConfig.for_model(kind, **fields)
    if not Path(model).is_dir() and "/" not in str(model):
        raise ValueError(
            f"unknown model {str(model)!r}; {nearest(model, MODELS)}; or give a config, a folder or a hub ID"
        )
    return AutoConfig.from_pretrained(model)


def _build(model: str | Path | PretrainedConfig) -> nn.Module:
    config = _config(model)
    with torch.device("meta"):  # shapes without memory
        try:
            built: nn.Module = AutoModel.from_config(config, add_pooling_layer=False)
        except TypeError:  # models without a pooler do not have the argument
            built = AutoModel.from_config(config)
    return built


_build_by_name = lru_cache(maxsize=8)(_build)


def skeleton(model: str | Path | PretrainedConfig | nn.Module) -> nn.Module:
    """Return the model without head and pooler on the meta device; a module is returned as it is.

    Raises: ValueError for a name that is not one of `MODELS`, a folder or a hub ID.
    """
    if isinstance(model, nn.Module):
        return model
    return _build_by_name(model) if isinstance(model, str) and model in MODELS else _build(model)


def _layer(name: str, module: nn.Module) -> Layer | None:
    if isinstance(module, nn.Linear):
        return Layer(name, module.in_features, module.out_features)
    if isinstance(module, nn.Conv2d):
        return Layer(name, module.in_channels // module.groups * prod(module.kernel_size), module.out_channels, True)
    return Layer(name, *module.weight.shape) if isinstance(module, Conv1D) else None


def layers(
    model: str | Path | PretrainedConfig | nn.Module, target_modules: list[str] | str | None = None
) -> list[Layer]:
    """Return the linear layers of a model, or the linear layers and convolutions that ``target_modules`` names.

    Fused experts are parameters, not layers. They are not counted, and a warning says so.

    Args:
        model: a name in `MODELS`; a transformers config, folder or hub ID (head and pooler are left out); or a module.
        target_modules: names as in PEFT: a list of names or ends of names, a regex for the full name, or "all-linear".

    Raises: ValueError for an unknown model, or for a target that no such layer matches; the message lists the names of
    the layers.

    >>> len(layers("roberta-base", ["query", "value"]))
    24
    """
    whole = skeleton(model)
    if experts := target_names(expert_parameters(whole)):
        warnings.warn(f"the costs are those of linear layers, without the experts' {', '.join(experts)}", stacklevel=2)
    found = [layer for name, module in whole.named_modules() if (layer := _layer(name, module)) is not None]
    if target_modules is None or target_modules == INCLUDE_LINEAR_LAYERS_SHORTHAND:
        return [layer for layer in found if not layer.convolution]
    targets = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    if not targets:
        raise ValueError("target_modules is empty; name layers, or omit it to use every linear layer")
    selected: list[Layer] = []
    for target in targets:
        config = LoraConfig(target_modules=target_modules if isinstance(target_modules, str) else [target])
        try:
            matched = [layer for layer in found if check_target_module_exists(config, layer.name)]
        except re.error as error:
            raise ValueError(f"target_modules={target!r} is not a valid regex: {error}") from error
        if not matched:
            names = sorted({layer.name.rpartition(".")[2] for layer in found})
            raise ValueError(
                f"target module {target!r} matches no linear layer or convolution; {nearest(target, names)}"
            )
        selected += [layer for layer in matched if layer not in selected]
    return [layer for layer in found if layer in selected]
