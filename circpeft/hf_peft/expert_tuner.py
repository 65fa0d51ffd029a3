"""The part of the tuners that adapts fused experts: PEFT's ``target_parameters``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.integrations import init_empty_weights
from peft.utils.other import _get_submodules
from torch import nn

from ..adapters.experts import ExpertAdapters
from .configs import CirculantConfig
from .expert_layers import ExpertsLayer, build_adapters
from .expert_targets import expert_shape, targeted_parameters


class ExpertTuner:
    """The methods of a PEFT tuner that find and replace modules of experts. Mixed into `CirculantModel`."""

    # The adapted experts. A subclass of the adapted layer, so that PEFT treats both alike.
    experts_layer_cls: type[ExpertsLayer]
    # Attributes and methods of PEFT's tuners.
    active_adapters: list[str]
    targeted_parameter_names: list[str]
    _replace_module: Any

    def _check_experts(self, config: CirculantConfig, model: nn.Module) -> dict[str, ExpertAdapters]:
        """Return the modules whose fused experts a config adapts, each with its adapters on the meta device.

        Raises: what `targeted_parameters`, `expert_shape` or an adapter raises if a parameter cannot be adapted.
        """
        adapted = {}
        for name, weights in targeted_parameters(config, model).items():
            module = model.get_submodule(name)
            base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
            if isinstance(module, BaseTunerLayer) and not isinstance(module, self.experts_layer_cls):
                raise TypeError(f"the experts {name!r} are already adapted by a {type(module).__name__}")
            shapes = {weight: expert_shape(base, weight, f"{name}.{weight}") for weight in weights}
            with torch.device("meta"):
                adapted[name] = build_adapters(config, name, shapes)
        return adapted

    def _inject_parameters(
        self, peft_config: CirculantConfig, model: nn.Module, adapter_name: str, low_cpu_mem_usage: bool
    ) -> list[str]:
        # PEFT's version wraps a module once for each parameter, so adapters of other parameters do not fit.
        names = []
        for module_name, weights in targeted_parameters(peft_config, model).items():
            parent, target, target_name = _get_submodules(model, module_name)
            with init_empty_weights() if low_cpu_mem_usage else nullcontext():
                layer = target
                if not isinstance(target, self.experts_layer_cls):
                    layer = self.experts_layer_cls(target, module_name)
                layer.add_adapter(adapter_name, peft_config, weights)
            if layer is not target:
                if adapter_name not in self.active_adapters:
                    layer.requires_grad_(False)  # a further adapter trains only after set_adapter
                self._replace_module(parent, target_name, layer, target)
            names += [f"{module_name}.{weight}" for weight in weights]
        # PEFT up to 0.18 does not take them from the returned list.
        self.targeted_parameter_names = list(dict.fromkeys([*self.targeted_parameter_names, *names]))
        return names
