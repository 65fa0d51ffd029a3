"""A weighted sum of adapters as one new adapter, for the cases in which it is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from numbers import Real
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import ModulesToSaveWrapper
from peft.utils.other import TrainableTokensWrapper
from torch import nn

from ..suggest import nearest
from .configs import CirculantConfig
from .expert_layers import ExpertsLayer, build_adapters
from .layer import CirculantLayer
from .saved_keys import plain_name
from .targets import exact_targets


def _check(tuner: BaseTuner, adapters: Sequence[str], weights: Sequence[float], name: str, how: str) -> None:
    if how != "linear":
        raise ValueError(f"combination_type={how!r} is not available; use 'linear', which is exact")
    if not adapters or len(adapters) != len(weights):
        raise ValueError(f"expected one weight per adapter, got {len(adapters)} adapters and {len(weights)} weights")
    for adapter in adapters:
        if adapter not in tuner.peft_config:
            raise ValueError(f"unknown adapter {adapter!r}; {nearest(adapter, tuner.peft_config)}")
    if name in tuner.peft_config:
        raise ValueError(f"the model already has an adapter {name!r}; choose another adapter_name")
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight):
            raise ValueError(f"weights must be finite numbers, got {weight!r}")
    for field, kind in (("modules_to_save", "whole modules"), ("trainable_token_indices", "single rows")):
        saved = [adapter for adapter in adapters if getattr(tuner.peft_config[adapter], field)]
        if len(saved) > 1:
            raise ValueError(
                f"adapters {', '.join(saved)} each train {kind} ({field}), and a sum of such {kind.split()[-1]} has no "
                f"meaning; only one of the adapters may have them"
            )


def _summed_config(
    configs: list[CirculantConfig], sizes: dict[str, int], targets: list[str] | str, parameters: list[str]
) -> CirculantConfig:
    config = copy(configs[0])
    config.base_model_name_or_path = config.base_model_name_or_path  # forgets the saved adapter
    names: Any = targets if isinstance(targets, str) else set(targets)  # the config takes any collection
    config.target_modules = names
    config.target_parameters = [plain_name(name) for name in parameters] or None
    config.exclude_modules = config.layers_to_transform = config.layers_pattern = None
    config.modules_to_save = next((c.modules_to_save for c in configs if c.modules_to_save), None)
    config.trainable_token_indices = next(
        (c.trainable_token_indices for c in configs if c.trainable_token_indices), None
    )
    # The parameters contain the rest of every alpha. The block sizes are those of the layers.
    config.alpha, config.alpha_pattern, config.init_weights = _alpha_of_sum(configs), {}, True
    # The longest name comes first, because a key also matches the end of a longer name.
    sizes = {plain_name(name): size for name, size in sizes.items()}
    config.block_size_pattern = {name: sizes[name] for name in sorted(sizes, key=len, reverse=True)}
    return config


def _alpha_of_sum(configs: list[CirculantConfig]) -> float | str:
    """Return the first named scale, so that the sum trains further with the learning rates of its parts, or else 1."""
    return next((config.alpha for config in configs if isinstance(config.alpha, str)), 1.0)


def _empty_sum(
    configs: list[CirculantConfig], name: str, layer: CirculantLayer, adapters: list[Any]
) -> tuple[Any, dict[str, int]]:
    """Return an adapter of a layer that can hold a sum of its adapters, and the block size for each name."""
    config = copy(configs[0])
    config.alpha, config.alpha_pattern, config.init_weights = _alpha_of_sum(configs), {}, True
    if not isinstance(layer, ExpertsLayer):
        config.block_size, config.block_size_pattern = adapters[0].block_size, {}
        return config.build(name, layer.d_in, layer.d_out), {name: adapters[0].block_size}
    sizes = {weight: a.block_size(weight) for a in reversed(adapters) for weight in a.weights}
    config.block_size_pattern = {f"{name}.{weight}": size for weight, size in sizes.items()}
    total = build_adapters(config, name, {weight: layer.shapes[weight] for weight in sizes})
    return total, config.block_size_pattern


@torch.no_grad()
def add_weighted_adapter(
    tuner: BaseTuner, adapters: Sequence[str], weights: Sequence[float], adapter_name: str, combination_type: str
) -> None:
    """Add an adapter with ``ΔW = sum_i weights[i] ΔW_i`` on every layer, see `CirculantModel.add_weighted_adapter`.

    Everything is computed before the model is changed.
    """
    _check(tuner, adapters, weights, adapter_name, combination_type)
    weights = [float(weight) for weight in weights]
    configs = [tuner.peft_config[name] for name in adapters]
    layers = {name: layer for name, layer in tuner.model.named_modules() if isinstance(layer, CirculantLayer)}
    summed: dict[str, nn.Module] = {}
    sizes: dict[str, int] = {}
    for layer_name, layer in layers.items():
        parts = [(layer.adapters[a], w) for a, w in zip(adapters, weights, strict=True) if a in layer.adapters]
        if not parts:
            continue
        total, blocks = _empty_sum(configs, layer_name, layer, [adapter for adapter, _ in parts])
        sizes |= blocks
        try:
            total.set_weighted_sum([adapter for adapter, _ in parts], [weight for _, weight in parts])
        except ValueError as error:
            raise ValueError(f"layer {layer_name!r}: {error}") from error
        summed[layer_name] = total
    linear = [name for name in summed if not isinstance(layers[name], ExpertsLayer)]
    parameters = [name for name in sizes if name not in linear]
    targets = exact_targets(tuner.model, linear)
    tuner.peft_config[adapter_name] = _summed_config(configs, sizes, targets, parameters)
    tuner.inject_adapter(tuner.model, adapter_name)
    for layer_name, total in summed.items():
        layers[layer_name].adapters[adapter_name].load_state_dict(total.state_dict())
    source = next((name for name in adapters if tuner.peft_config[name].modules_to_save), None)
    for module in tuner.model.modules():
        if isinstance(module, ModulesToSaveWrapper) and source in module.modules_to_save:
            module.modules_to_save[adapter_name].load_state_dict(module.modules_to_save[source].state_dict())
        elif isinstance(module, TrainableTokensWrapper):
            rows = module.token_adapter.trainable_tokens_delta
            if adapter_name in rows:
                rows[adapter_name].copy_(next(rows[name] for name in adapters if name in rows))
    for name, p in tuner.model.named_parameters():
        if f".{adapter_name}." in name and (tuner.prefix in name or "modules_to_save" in name):
            p.requires_grad_(False)  # it trains only after set_adapter
