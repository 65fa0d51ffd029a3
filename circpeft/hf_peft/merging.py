"""Merge whole models: check all layers first, then replace them by plain ones and remove every mark of an adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper, ModulesToSaveWrapper, TrainableTokensWrapper
from torch import nn

from .layer import CirculantLayer
from .token_rows import check_rows_to_merge
from .uncalled_layers import config_of

# transformers saves a model in the format that it was loaded from. When it loads an adapter, it overwrites the
# conversions for that with the adapter's own, so the model's are kept here.
CONVERSIONS, CONVERSIONS_BEFORE = "_weight_conversions", "_weight_conversions_before_adapters"
# Attributes with which PEFT, transformers, diffusers and circpeft mark a model that has adapters.
ADAPTER_MARKS = ("peft_config", "_hf_peft_config_loaded", CONVERSIONS_BEFORE)


def check_mergeable(
    model: nn.Module, adapter_names: Sequence[str] | None = None, safe_merge: bool = False, stored: bool = True
) -> None:
    """Check the named (by default the active) adapters in all layers before the first layer is merged.

    Raises: ValueError if no adapter is active or adapters are disabled, if several have a copy of one module or trained
    the same row of an embedding, for a layer to whose weight ``ΔW`` cannot be added, with ``stored`` for a quantised
    weight that cannot be quantised again, and with ``safe_merge`` for values that are not finite.
    """
    for module in model.modules():
        if isinstance(module, PeftModel) and not isinstance(module.base_model, BaseTuner):
            method = module.active_peft_config.peft_type.value
            raise ValueError(f"nothing is merged: {method} does not change weights, so it cannot be merged")
    for name, module in model.named_modules():
        if isinstance(module, ModulesToSaveWrapper) and len(names := _copies(module, adapter_names)) > 1:
            raise ValueError(
                f"nothing is merged: {', '.join(names)} each have a copy of {name!r} (modules_to_save); merge only one "
                f"of them"
            )
    check_rows_to_merge(model, adapter_names)
    layers = [m for m in model.modules() if isinstance(m, CirculantLayer)]
    known = sorted({name for layer in layers for name in layer.adapters})
    if known and not any(layer.merged or layer.names_to_merge(adapter_names) for layer in layers):
        if not any(m.active_adapters for m in _others(model)):
            raise ValueError(f"nothing is merged: no adapter is active; activate one of {', '.join(known)}")
    for layer in layers:
        layer.check_mergeable(adapter_names, safe_merge, stored)


def _copies(wrapper: ModulesToSaveWrapper, adapter_names: Sequence[str] | None) -> list[str]:
    """Return which of the named adapters have a copy of a module that is trained as a whole."""
    return [name for name in adapter_names or () if name in wrapper.modules_to_save]


def _others(model: nn.Module) -> list[nn.Module]:
    """Return the layers of PEFT's own methods, and the modules that are trained as a whole."""
    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    return [m for m in model.modules() if isinstance(m, kinds) and not isinstance(m, CirculantLayer)]


def unload_layers(
    model: nn.Module, merge: bool = True, safe_merge: bool = False, adapter_names: list[str] | None = None
) -> None:
    """Replace every adapted layer by its base layer in place, with the adapters merged into it or without them."""

    def base_of(child: nn.Module) -> nn.Module | None:
        if isinstance(child, ModulesToSaveWrapper):
            names = _copies(child, child.active_adapters if adapter_names is None else adapter_names)
            if not merge or not names:
                original: nn.Module = child.original_module
                return original
            if names != child.active_adapters:  # PEFT takes the active one
                trains = any(p.requires_grad for p in child.modules_to_save[names[0]].parameters())
                child.set_adapter(names, inference_mode=not trains)
        if isinstance(child, AuxiliaryTrainingWrapper):
            options = {"merge": merge, "safe_merge": safe_merge, "adapter_names": adapter_names}
            unloaded: nn.Module = child.unload_and_optionally_merge_module(**options)
            return unloaded
        if not isinstance(child, BaseTunerLayer) or not hasattr(child, "base_layer"):
            return None
        return _merged_base(child, safe_merge, adapter_names) if merge else child.get_base_layer()

    _replace_children(model, base_of)


def _merged_base(layer: BaseTunerLayer, safe_merge: bool, adapter_names: list[str] | None) -> nn.Module:
    stack = [layer]  # the base layer of one method may be the layer of another
    while isinstance(stack[-1].base_layer, BaseTunerLayer):
        stack.append(stack[-1].base_layer)
    for inner in reversed(stack):  # from the inside, because some methods multiply the weight
        inner.merge(safe_merge=safe_merge, adapter_names=adapter_names)
    base: nn.Module = stack[-1].base_layer
    return base


def unwrap_peft_models(model: nn.Module, safe_merge: bool) -> nn.Module:
    """Replace every `PeftModel` inside a model by its base model, in place, and the model itself if it is one."""

    def base_of(module: nn.Module) -> nn.Module | None:
        return module.merge_and_unload(safe_merge=safe_merge) if isinstance(module, PeftModel) else None

    _replace_children(model, base_of)
    return model if (base := base_of(model)) is None else base


def _replace_children(model: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> None:
    """Replace each descendant for which ``replacement`` returns a module, in all of its parents."""
    done: dict[nn.Module, nn.Module] = {}  # a module that several parents share is replaced by one module
    for parent in list(model.modules()):
        if isinstance(parent, (BaseTunerLayer, TrainableTokensWrapper)):
            continue  # its parts belong to the adapter
        for name, child in list(parent._modules.items()):
            if child is None:
                continue
            if child not in done and (new := replacement(child)) is not None:
                done[child] = new
            if child in done:
                setattr(parent, name, done[child])


def keep_conversions(model: nn.Module) -> None:
    """Keep how transformers converts the weights of a model, before it loads the first adapter."""
    if hasattr(model, "_hf_peft_config_loaded") and CONVERSIONS_BEFORE not in model.__dict__:
        setattr(model, CONVERSIONS_BEFORE, model.__dict__.get(CONVERSIONS))


def clear_marks(model: nn.Module) -> None:
    """Remove what marks a model, or a part of it, as one with adapters, wherever no adapter is left."""
    for module in model.modules():
        marks = [mark for mark in ADAPTER_MARKS if mark in module.__dict__]
        if marks and not any(isinstance(m, (BaseTunerLayer, AuxiliaryTrainingWrapper)) for m in module.modules()):
            if CONVERSIONS_BEFORE in marks:
                module.__dict__.pop(CONVERSIONS, None)
                if (before := getattr(module, CONVERSIONS_BEFORE)) is not None:
                    setattr(module, CONVERSIONS, before)
            for mark in marks:
                delattr(module, mark)


def untie_configs(model: nn.Module) -> None:
    """Set ``tie_word_embeddings`` to False where a merge has separated the output embeddings from the input embeddings.

    Otherwise loading the saved model would tie them again and lose the merged weight.
    """
    for module in model.modules():
        config = config_of(module)
        if not getattr(config, "tie_word_embeddings", False) or not hasattr(module, "get_output_embeddings"):
            continue
        model_with_embeddings: Any = module
        output = model_with_embeddings.get_output_embeddings()
        if output is None:
            continue  # in transformers 4, asking a model without embeddings for its input raises an error
        inputs = model_with_embeddings.get_input_embeddings()
        if getattr(output, "weight", None) is not getattr(inputs, "weight", None):
            config.tie_word_embeddings = False
