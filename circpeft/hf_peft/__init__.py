"""C3A and CDVFT as Hugging Face PEFT methods, with `inject` and `merge` for models that PEFT does not wrap."""

import warnings
from copy import copy

import torch
from peft import PeftModel, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from .configs import C3AConfig, CDVFTConfig, CirculantConfig
from .layer import CirculantLayer, check_finite
from .peft_c3a import load_peft_c3a, save_peft_c3a
from .peft_model import extend_peft_model
from .registration import register
from .repair import repair_peft_c3a
from .targets import unmatched_targets
from .to_float import to_float
from .transformers_loading import check_in_transformers
from .tuner import C3AModel, CDVFTModel, untie_config

register(C3AConfig, C3AModel)
register(CDVFTConfig, CDVFTModel)
check_in_transformers()
extend_peft_model()


def inject(model: nn.Module, config: CirculantConfig, adapter_name: str = "default") -> nn.Module:
    """Add adapters to any model in place, and freeze its other parameters.

    Formula: every target layer becomes ``base(x) + x @ ΔW.T``. This is for your own training loop. To save, load and
    name several adapters, use `peft.get_peft_model`.

    Returns: the same model.

    Raises: ValueError if a target name matches no layer, a block size does not divide, or the model has an adapter with
    this name; TypeError for a layer that cannot be adapted. The model is unchanged then.

    >>> from torch import nn
    >>> model = inject(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), C3AConfig(target_modules=["0"]))
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['0.circonv_adapters.default.kernel']
    """
    if adapter_name in getattr(model, "peft_config", {}):
        raise ValueError(f"the model already has an adapter {adapter_name!r}; choose another adapter_name")
    config = copy(config)
    # Only the settings of a saved adapter are used here, not its values, so another model may have other shapes.
    config.__dict__.pop("_saved_adapter", None)
    with warnings.catch_warnings():  # the caller wants a second adapter
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        return inject_adapter_in_model(config, model, adapter_name)


def merge(model: nn.Module, safe_merge: bool = False, dtype: torch.dtype | None = None) -> nn.Module:
    """Add every active adapter's ``ΔW`` to its base weight, remove the adapters, and return the base model.

    The result has the modules and parameter names of the model that was adapted, so it saves and loads without
    circpeft. Adapters of PEFT's other methods are merged, too.

    Args:
        model: a model from `inject`, or a `PeftModel`.
        safe_merge: raise an error if a merged weight is not finite.
        dtype: first convert the base model to this floating-point type, quantised layers to plain ones. With
            torch.float32, no part of ``ΔW`` is lost. By default, weights keep their type, and a warning tells the share
            of ``ΔW`` that a rounded weight keeps.

    Raises: ValueError if the model has no adapter, the dtype is not a floating-point type, a quantised weight cannot be
    stored again, or, with ``safe_merge``, a merged weight is not finite.

    >>> from torch import nn
    >>> merge(inject(nn.Sequential(nn.Linear(4, 4)), CDVFTConfig(target_modules=["0"])))
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
    )
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type such as torch.float32, got {dtype}")
    if not isinstance(model, PeftModel) and not any(isinstance(m, CirculantLayer) for m in model.modules()):
        raise ValueError("nothing to merge: the model has no C3A or CDVFT adapter")
    if safe_merge:
        check_finite(model)
    if dtype is not None:
        _to_float(model, dtype, safe_merge)
    _merge_layers(model, safe_merge)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=safe_merge)
    if hasattr(model, "peft_config"):  # some versions of PEFT do not remove it
        del model.peft_config
    untie_config(model)
    return model


def _to_float(model: nn.Module, dtype: torch.dtype, safe_merge: bool) -> None:
    """Call `to_float` while merged adapters are unmerged, so that no rounding of an earlier merge remains."""
    merged = [(m, list(m.merged_adapters)) for m in model.modules() if isinstance(m, CirculantLayer) and m.merged]
    for layer, _ in merged:
        layer.unmerge()
    try:
        to_float(model, dtype)
    finally:
        for layer, names in merged:
            layer.merge(safe_merge=safe_merge, adapter_names=names)


def _merge_layers(model: nn.Module, safe_merge: bool) -> None:
    merged: dict[nn.Module, nn.Module] = {}  # a shared layer is merged once
    if not any(isinstance(module, CirculantLayer) for module in model.modules()):
        return
    for parent in [module for module in model.modules() if not isinstance(module, BaseTunerLayer)]:
        for name, child in list(parent._modules.items()):
            if isinstance(child, BaseTunerLayer) and hasattr(child, "base_layer"):
                if child not in merged:
                    merged[child] = _merged_base(child, safe_merge)
                setattr(parent, name, merged[child])
            elif isinstance(child, AuxiliaryTrainingWrapper):
                unloaded = child.unload_and_optionally_merge_module(
                    merge=True, safe_merge=safe_merge, adapter_names=None
                )
                setattr(parent, name, unloaded)


def _merged_base(layer: BaseTunerLayer, safe_merge: bool) -> nn.Module:
    stack = [layer]  # the base layer of one method may be the layer of another
    while isinstance(stack[-1].base_layer, BaseTunerLayer):
        stack.append(stack[-1].base_layer)
    for inner in reversed(stack):  # from the inside, because some methods multiply the weight
        inner.merge(safe_merge=safe_merge)
    return stack[-1].base_layer


__all__ = [
    "C3AConfig",
    "C3AModel",
    "CDVFTConfig",
    "CDVFTModel",
    "inject",
    "load_peft_c3a",
    "merge",
    "repair_peft_c3a",
    "save_peft_c3a",
    "unmatched_targets",
]
