"""The PEFT tuners. They choose the layers, and check everything before the first layer is replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import (
    BaseTuner,
    BaseTunerLayer,
)
from torch import nn

from . import weighted_sum
from .adapter_names import check_adapter_names, check_new_name, check_saved_apart
from .all_linear import with_layer_names
from .base_weights import linear_shape
from .configs import CirculantConfig
from .convolution_layers import C3AConv2d, CDVFTConv2d, ConvolutionLayer
from .default_targets import DEFAULT_TARGETS
from .expert_layers import C3AExperts, CDVFTExperts
from .expert_targets import experts_left_out, warn_of_experts
from .expert_tuner import ExpertTuner
from .layer import C3ALinear, CDVFTLinear
from .merging import check_mergeable, clear_marks, keep_conversions, unload_layers, untie_configs
from .mixed_batch import copies_of_a_sample, mixed_batch
from .offload import check_in_memory
from .plain_keys import PlainKeys
from .saved_adapter import check_saved_adapter
from .saved_keys import is_wrapper
from .targets import is_target, layers_of
from .token_rows import check_rows_of_all, token_rows
from .trained_biases import freeze_biases_of_others
from .uncalled_layers import check_wrapper, uncalled_layers
from .unmatched_names import check_found, check_targets


class CirculantModel(ExpertTuner, PlainKeys, BaseTuner):
    """The common part of the two tuners. Subclasses set their prefix and layer classes."""

    convolution_layer_cls: type[ConvolutionLayer]
    target_module_mapping = DEFAULT_TARGETS

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        try:
            check_new_name(adapter_name)
            super().inject_adapter(model, adapter_name, *args, **kwargs)
        except Exception:
            self.peft_config.pop(adapter_name, None)  # PEFT stores the config before it checks it
            clear_marks(model)  # transformers marks the model before
            raise
        keep_conversions(model)

    @staticmethod
    def get_model_config(model: nn.Module) -> Mapping[str, Any]:
        # The config of a model that is not of transformers, such as one of diffusers, may be anything.
        config = BaseTuner.get_model_config(model)
        return config if isinstance(config, Mapping) else {}

    def _prepare_adapter_config(self, peft_config: CirculantConfig, model_config: Mapping[str, Any]) -> CirculantConfig:
        default = self.target_module_mapping.get(model_config.get("model_type") or "")
        if peft_config.target_modules is None and isinstance(default, str):
            peft_config.target_modules = default  # PEFT up to 0.18 would take each letter of the pattern for a name
        if peft_config.target_modules is None and default is None:
            if peft_config.target_parameters:
                return peft_config  # only parameters, which PEFT's LoRA allows, too
            raise ValueError(
                f"target_modules is None, and {type(self.model).__name__} has no default; list names of its layers, or "
                f'use "all-linear"'
            )
        prepared: CirculantConfig = super()._prepare_adapter_config(peft_config, model_config)
        return prepared

    def _prepare_model(self, peft_config: CirculantConfig, model: nn.Module) -> None:
        # PEFT calls this for every adapter, after it has filled in the default targets. All checks are here, so that an
        # error leaves the model unchanged.
        targets = peft_config.target_modules
        check_targets(peft_config, model)
        config = with_layer_names(peft_config, model)
        adapted = self._check_layers(config, model)
        experts = self._check_experts(peft_config, model)
        warn_of_experts(targets, model, experts_left_out(peft_config, model))
        if not adapted and config.target_modules != targets:
            raise ValueError(
                f"target_modules={targets!r} finds no layer: {type(model).__name__} has no linear layer except its head"
            )
        weights = [f"{name}.{weight}" for name, e in experts.items() for weight in e.weights]
        check_found(config, model, [*adapted, *weights])
        check_saved_apart(self.peft_config, model, adapted | experts, f".{self.prefix}adapters.")
        check_rows_of_all(self.peft_config, model, token_rows(peft_config, model, adapted))
        peft_config.target_modules = config.target_modules  # PEFT does the same next
        if peft_config._saved_adapter is not None:
            check_saved_adapter(peft_config, model, adapted | experts, self.prefix)
        if peft_config.__dict__.pop("_read_by_transformers", False):
            check_in_memory(model, adapted | experts)

    def _mark_only_adapters_as_trainable(self, model: nn.Module) -> None:
        super()._mark_only_adapters_as_trainable(model)
        if names := [name for name in self.active_adapters if self.peft_config[name].bias.endswith("_only")]:
            freeze_biases_of_others(model, names)

    @staticmethod
    def _check_target_module_exists(peft_config: CirculantConfig, key: str) -> object:
        return is_target(peft_config, key)

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if not autocast_adapter_dtype:  # PEFT's setting for adapters in the base model's precision
            for layer in self.model.modules():
                if isinstance(layer, self.tuner_layer_cls) and adapter_name in layer.adapters:
                    if layer.base_dtype.is_floating_point:  # the codes of bitsandbytes are integers
                        layer.adapters[adapter_name].to(layer.base_dtype)

    def find_layers(self, config: CirculantConfig, model: nn.Module) -> dict[str, nn.Module]:
        """Return the layers that a config adapts by name, each with its adapter built without memory."""
        return self._check_layers(with_layer_names(config, model), model) | self._check_experts(config, model)

    def _check_layers(self, config: CirculantConfig, model: nn.Module) -> dict[str, nn.Module]:
        """Return the layers that a config adapts, each with its adapter built without memory.

        Raises: what the layer or the adapter raises if a layer cannot be adapted.
        """
        adapted: dict[str, nn.Module] = {}
        uncalled = uncalled_layers(model)
        for name, layer in layers_of(model):
            if is_target(config, name):
                if is_wrapper(layer):
                    check_wrapper(layer, name)
                    continue
                if name in uncalled:
                    raise TypeError(
                        f"{uncalled[name]} reads the weight of layer {name!r} without calling it, so an adapter there "
                        f"would do nothing; leave it out with exclude_modules"
                    )
                base = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
                with torch.device("meta"):  # draws no random numbers
                    adapted[name] = config.build(name, *linear_shape(base, name))
        return adapted

    @contextmanager
    def _enable_peft_forward_hooks(
        self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any
    ) -> Iterator[None]:
        if adapter_names is None:
            yield
        else:
            with mixed_batch(self.model, adapter_names, copies_of_a_sample(kwargs)):
                yield

    def add_weighted_adapter(
        self,
        adapters: Sequence[str],
        weights: Sequence[float],
        adapter_name: str,
        combination_type: str = "linear",
    ) -> None:
        """Add an adapter with exactly ``ΔW = sum_i weights[i] ΔW_i`` on every layer, inactive until `set_adapter`.

        C3A is linear in its kernel: adapters with the same block size per layer can be summed, with any alpha and
        layout. CDVFT adapters can be summed if they differ in only one factor per layer: one adapter that is scaled, or
        several that were trained from the same start with one factor free. On a layer that only some of the adapters
        adapt, those are summed.

        Raises: ValueError for unknown names, weights that are not finite or not one per adapter, a name that is taken,
        several adapters with modules_to_save, block sizes that differ, and CDVFT sums that no CDVFT adapter can hold.
        The model is unchanged then.
        """
        weighted_sum.add_weighted_adapter(self, adapters, weights, adapter_name, combination_type)

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
        if is_wrapper(target):
            return  # the layer inside has the same name
        if isinstance(target, self.tuner_layer_cls):
            target.add_adapter(adapter_name, peft_config)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        layer_cls = self.convolution_layer_cls if isinstance(base, nn.Conv2d) else self.tuner_layer_cls
        layer = layer_cls(target, current_key)
        layer.add_adapter(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # a further adapter trains only after set_adapter
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # PEFT's version also copies child.weight when it unloads, which fails for heads without a weight. It replaces
        # a layer that two parents share only in one of them.
        setattr(parent, child_name, new_module)
        for module in self.model.modules():
            if module is not new_module:
                for name, other in list(module._modules.items()):
                    if other is child:
                        setattr(module, name, new_module)

    def set_adapter(self, adapter_name: str | list[str], *args: Any, **kwargs: Any) -> None:
        check_adapter_names(adapter_name, self.peft_config)
        super().set_adapter(adapter_name, *args, **kwargs)

    def delete_adapter(self, adapter_name: str) -> None:
        check_adapter_names(adapter_name, self.peft_config)
        super().delete_adapter(adapter_name)

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        check_adapter_names(adapter_names, self.peft_config)
        super().set_requires_grad(adapter_names, requires_grad)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        check_adapter_names(adapter_names or (), self.peft_config)
        check_mergeable(self.model, adapter_names, safe_merge)
        super().merge_adapter(adapter_names, safe_merge)

    def _unload_and_optionally_merge(
        self, merge: bool = True, progressbar: bool = True, safe_merge: bool = False, adapter_names: Any = None
    ) -> nn.Module:
        check_adapter_names(adapter_names or (), self.peft_config)
        if merge:
            check_mergeable(self.model, adapter_names, safe_merge)
        unload_layers(self.model, merge, safe_merge, adapter_names)
        model: nn.Module = super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)
        clear_marks(model)
        untie_configs(model)
        return model


class C3AModel(CirculantModel):
    """The PEFT tuner of C3A."""

    prefix = "circonv_"
    convolution_layer_cls = C3AConv2d
    experts_layer_cls = C3AExperts
    tuner_layer_cls = C3ALinear


class CDVFTModel(CirculantModel):
    """The PEFT tuner of CDVFT."""

    prefix = "cdvft_"
    convolution_layer_cls = CDVFTConv2d
    experts_layer_cls = CDVFTExperts
    tuner_layer_cls = CDVFTLinear
