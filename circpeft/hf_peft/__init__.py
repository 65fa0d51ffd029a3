"""C3A and CDVFT as Hugging Face PEFT methods, and two verbs for models outside of PEFT: inject and merge."""

import warnings

import torch
from peft import PeftModel, inject_adapter_in_model
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from .configs import C3AConfig, CDVFTConfig, CirculantConfig
from .layer import CirculantLayer
from .peft_c3a import load_peft_c3a, save_peft_c3a
from .registration import register
from .repair import repair_peft_c3a
from .to_float import to_float
from .tuner import C3AModel, CDVFTModel, unmatched_targets, untie_config

register(C3AConfig, C3AModel)
register(CDVFTConfig, CDVFTModel)


def inject(model: nn.Module, config: CirculantConfig, adapter_name: str = "default") -> nn.Module:
    """Put adapters into any model, in place, and freeze the rest.

    Formula: every target layer becomes ``base(x) + x @ ΔW.T``. Returns the same model. For saving, loading and several
    adapters with names use `peft.get_peft_model`; this is for a training loop of your own.

    Raises: ValueError where a target name matches nothing, a block size does not divide, or the model has an adapter of
    this name; TypeError for a layer that cannot be adapted. The model is unchanged then.

    >>> from torch import nn
    >>> model = inject(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), C3AConfig(target_modules=["0"]))
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['0.circonv_adapters.default.kernel']
    """
    present = getattr(model, "peft_config", {})
    if adapter_name in present:
        raise ValueError(f"the model has an adapter {adapter_name!r} already; choose another adapter_name")
    try:
        with warnings.catch_warnings():  # a second adapter is what the caller asks for
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            return inject_adapter_in_model(config, model, adapter_name)
    except (ValueError, TypeError):
        present.pop(adapter_name, None)  # PEFT notes the config before it looks at it
        raise


def merge(model: nn.Module, safe_merge: bool = False, dtype: torch.dtype | None = None) -> nn.Module:
    """Add every active adapter's ``ΔW`` to its base weight and take the adapters away; returns the base model.

    Takes a model from `inject` or a `PeftModel`. The result has the modules and parameter names of the model that was
    adapted, so it saves and loads without circpeft.

    Args:
        safe_merge: raise where a merged weight is not finite.
        dtype: first bring the base model to this floating-point type, quantised layers to plain ones: with
            torch.float32 nothing of ΔW is rounded away. By default weights stay as they are, and a warning tells the
            share of ΔW that a rounded weight keeps.

    Raises: ValueError where the model has no adapter, or the dtype is not a floating-point one; with ``safe_merge``
    where a merged weight is not finite; where a quantised weight cannot be stored again.

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
    if dtype is not None:
        to_float(model, dtype)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=safe_merge)
    merged: dict[nn.Module, nn.Module] = {}  # a layer that is shared is merged once
    for parent in [module for module in model.modules() if not isinstance(module, CirculantLayer)]:
        for name, child in list(parent._modules.items()):
            if isinstance(child, CirculantLayer):
                if child not in merged:
                    merged[child] = _merged_base(child, safe_merge)
                setattr(parent, name, merged[child])
            elif isinstance(child, AuxiliaryTrainingWrapper):
                unloaded = child.unload_and_optionally_merge_module(
                    merge=True, safe_merge=safe_merge, adapter_names=None
                )
                setattr(parent, name, unloaded)
    if hasattr(model, "peft_config"):  # not every version of PEFT removes it
        del model.peft_config
    untie_config(model)
    return model


def _merged_base(layer: CirculantLayer, safe_merge: bool) -> nn.Module:
    while isinstance(layer, CirculantLayer):  # one method may lie on top of the other
        layer.merge(safe_merge=safe_merge)
        layer = layer.base_layer
    return layer


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
