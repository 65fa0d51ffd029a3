"""C3A and CDVFT as Hugging Face PEFT methods, and two verbs for models outside of PEFT: inject and merge."""

from peft import PeftModel, inject_adapter_in_model
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from .configs import C3AConfig, CDVFTConfig, CirculantConfig
from .layer import CirculantLayer
from .registration import register
from .tuner import C3AModel, CDVFTModel, unmatched_targets

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
        return inject_adapter_in_model(config, model, adapter_name)
    except (ValueError, TypeError):
        present.pop(adapter_name, None)  # PEFT notes the config before it looks at it
        raise


def merge(model: nn.Module, safe_merge: bool = False) -> nn.Module:
    """Add every active adapter's ``ΔW`` to its base weight and take the adapters away; returns the base model.

    Takes a model from `inject` or a `PeftModel`. The result has the modules and parameter names of the model that was
    adapted, so it saves and loads without circpeft.

    Raises: ValueError where the model has no adapter; with ``safe_merge`` where a merged weight is not finite.

    >>> from torch import nn
    >>> merge(inject(nn.Sequential(nn.Linear(4, 4)), CDVFTConfig(target_modules=["0"])))
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
    )
    """
    found = isinstance(model, PeftModel)
    if found:
        model = model.merge_and_unload(safe_merge=safe_merge)
    for parent in [module for module in model.modules() if not isinstance(module, CirculantLayer)]:
        for name, child in list(parent.named_children()):
            if isinstance(child, CirculantLayer):
                while isinstance(child, CirculantLayer):  # one method may lie on top of the other
                    child.merge(safe_merge=safe_merge)
                    child = child.base_layer
                setattr(parent, name, child)
                found = True
            elif isinstance(child, AuxiliaryTrainingWrapper):
                unloaded = child.unload_and_optionally_merge_module(
                    merge=True, safe_merge=safe_merge, adapter_names=None
                )
                setattr(parent, name, unloaded)
    if not found:
        raise ValueError("nothing to merge: the model has no C3A or CDVFT adapter")
    if hasattr(model, "peft_config"):  # not every version of PEFT removes it
        del model.peft_config
    return model


__all__ = ["C3AConfig", "C3AModel", "CDVFTConfig", "CDVFTModel", "inject", "merge", "unmatched_targets"]
