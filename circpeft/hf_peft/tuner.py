"""The PEFT tuners: which layers get an adapter, and the checks before any is made."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from peft.tuners.tuners_utils import (
    BaseTuner,
    BaseTunerLayer,
    _maybe_include_all_linear_layers,
    check_target_module_exists,
)
from peft.utils.constants import DUMMY_TARGET_MODULES, TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.other import get_pattern_key
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..ops.checks import nearest
from .configs import CirculantConfig
from .layer import C3ALinear, CDVFTLinear, linear_shape


def _ends(names: Iterable[str]) -> list[str]:
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The named modules of a model, without what lies inside adapted layers."""
    inside = tuple(f"{name}." for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer))
    return [(name, layer) for name, layer in model.named_modules() if name and not name.startswith(inside)]


def unmatched_targets(model: nn.Module, targets: list[str] | set[str]) -> dict[str, str]:
    """Target names that match no module of a model, each with a hint of the nearest names that do."""
    layers = _layers(model)
    linear = _ends(name for name, layer in layers if isinstance(layer, (nn.Linear, Conv1D, BaseTunerLayer)))
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name, _ in layers)]
    return {target: nearest(target, linear) for target in missing}


class CirculantModel(BaseTuner):
    """What the two tuners share. Subclasses name their prefix and layer."""

    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def _prepare_model(self, peft_config: CirculantConfig, model: nn.Module) -> None:
        # Everything that can be wrong is found before the first layer is replaced. PEFT calls this for every adapter,
        # once the default targets are filled in.
        targets = peft_config.target_modules
        if isinstance(targets, (set, list)) and targets:
            missing = unmatched_targets(model, targets)
            text = "; ".join(f"target module {name!r} matches no layer: {hint}" for name, hint in missing.items())
            if len(missing) == len(targets):
                raise ValueError(text)
            if missing:
                warnings.warn(text, stacklevel=2)
        # The copy, because "all-linear" is replaced by the names that it stands for.
        config = _maybe_include_all_linear_layers(copy(peft_config), model)
        adapted = self._check_layers(config, model)
        if not adapted and isinstance(targets, str) and targets != DUMMY_TARGET_MODULES:
            hint = unmatched_targets(model, [targets]).get(targets, f"did you mean the list [{targets!r}]?")
            raise ValueError(f"target_modules={targets!r} is a regex for full layer names and matches none; {hint}")
        for field in ("block_size_pattern", "alpha_pattern"):
            for key in getattr(peft_config, field) or {}:
                if adapted and not any(get_pattern_key([key], name) == key for name in adapted):
                    raise ValueError(f"{field} key {key!r} matches no adapted layer; {nearest(key, _ends(adapted))}")

    def _check_layers(self, config: CirculantConfig, model: nn.Module) -> list[str]:
        """Names of the layers that a config adapts; raises where one cannot be, or its adapter cannot be built."""
        names = []
        for name, layer in _layers(model):
            if check_target_module_exists(config, name):
                base = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
                with torch.device("meta"):  # costs nothing and draws no random numbers
                    config.build(name, *linear_shape(base, name))
                names.append(name)
        return names

    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any):
        # Without this PEFT drops the argument and answers every sample with the active adapters.
        if adapter_names is not None:
            raise ValueError("a batch that mixes adapters (adapter_names=...) is not supported; use set_adapter")
        yield

    def _create_and_replace(
        self,
        peft_config: CirculantConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **optional_kwargs: Any,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.add_adapter(adapter_name, peft_config)
            return
        layer = self.tuner_layer_cls(target, current_key)
        layer.add_adapter(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # a further adapter trains only once it is made active
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # PEFT's own also copies child.weight onto what it unloads, which crashes on heads without a weight.
        setattr(parent, child_name, new_module)


class C3AModel(CirculantModel):
    """PEFT tuner of C3A."""

    prefix = "circonv_"
    tuner_layer_cls = C3ALinear


class CDVFTModel(CirculantModel):
    """PEFT tuner of CDVFT."""

    prefix = "cdvft_"
    tuner_layer_cls = CDVFTLinear
