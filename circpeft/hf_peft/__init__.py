"""C3A and CDVFT as Hugging Face PEFT methods, with `inject` and `merge` for models that PEFT does not wrap."""

import warnings
from copy import copy

import torch
from peft import PeftModel, inject_adapter_in_model
from torch import nn

from .config_file import check_configs_read_by_peft
from .configs import C3AConfig, CDVFTConfig, CirculantConfig
from .expert_targets import targeted_parameters, unadapted_experts, warn_of_experts
from .hotswap import hotswap_adapter, prepare_model_for_compiled_hotswap
from .layer import CirculantLayer
from .lora_error import LoraError, lora_error
from .merging import check_mergeable, clear_marks, unload_layers, untie_configs, unwrap_peft_models
from .peft_c3a import load_peft_c3a, save_peft_c3a
from .peft_model import extend_peft_model
from .registration import register
from .repair import repair_peft_c3a
from .targets import unmatched_targets
from .to_float import to_float
from .transformers_loading import check_in_transformers
from .tuner import C3AModel, CDVFTModel, CirculantModel

register(C3AConfig, C3AModel)
register(CDVFTConfig, CDVFTModel)
check_configs_read_by_peft()
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
        adapted: nn.Module = inject_adapter_in_model(config, model, adapter_name)
    return adapted


def merge(model: nn.Module, safe_merge: bool = False, dtype: torch.dtype | None = None) -> nn.Module:
    """Add every active adapter's ``ΔW`` to its base weight, remove the adapters, and return the base model.

    The result has the modules, attributes and parameter names of the model that was adapted, so it saves and loads
    without circpeft. Adapters of PEFT's other methods are merged, too.

    Args:
        model: a model with adapters from `inject`, PEFT or transformers (``add_adapter``), in any of its parts.
        safe_merge: raise an error if a merged weight is not finite.
        dtype: first convert the base model to this floating-point type, quantised layers to plain ones. With
            torch.float32, no part of ``ΔW`` is lost. By default, weights keep their type, and a warning tells the share
            of ``ΔW`` that a rounded weight keeps.

    Raises: ValueError if no adapter is active, adapters are disabled, the dtype is not a floating-point type, ``ΔW``
    cannot be added to a layer's weight, a quantised weight cannot be quantised again, or, with ``safe_merge``, an
    adapter is not finite. All this is checked before the first layer is changed.

    >>> from torch import nn
    >>> merge(inject(nn.Sequential(nn.Linear(4, 4)), CDVFTConfig(target_modules=["0"])))
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
    )
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type such as torch.float32, got {dtype}")
    if not any(isinstance(m, (CirculantLayer, PeftModel)) for m in model.modules()):
        raise ValueError("nothing to merge: the model has no C3A or CDVFT adapter")
    check_mergeable(model, safe_merge=safe_merge, stored=dtype is None)
    if dtype is not None:
        to_float(model, dtype)
    unload_layers(model, safe_merge=safe_merge)
    model = unwrap_peft_models(model, safe_merge)
    clear_marks(model)
    untie_configs(model)
    return model


__all__ = [
    "C3AConfig",
    "C3AModel",
    "CDVFTConfig",
    "CDVFTModel",
    "CirculantModel",
    "LoraError",
    "hotswap_adapter",
    "inject",
    "load_peft_c3a",
    "lora_error",
    "merge",
    "prepare_model_for_compiled_hotswap",
    "repair_peft_c3a",
    "save_peft_c3a",
    "targeted_parameters",
    "unadapted_experts",
    "unmatched_targets",
    "warn_of_experts",
]
