"""Methods that train parameters of the model itself."""

from torch import nn

from .model import Targets, checked_targets, head_names, new_head_names


def full(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Full fine-tuning: every parameter trains; the targets are checked, and do not matter."""
    checked_targets(model, target_modules)
    return model.requires_grad_(True)


def head(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """The head alone: the base model is frozen; the targets are checked, and do not matter."""
    checked_targets(model, target_modules)
    model.requires_grad_(False)
    for name in head_names(model):
        model.get_submodule(name).requires_grad_(True)
    return model


def bitfit(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """BitFit (Ben Zaken et al. 2022): every bias trains, those of layer norms too; the targets do not matter.

    Raises: ValueError for a model without biases, such as LLaMA's.
    """
    checked_targets(model, target_modules)
    model.requires_grad_(False)
    for name in new_head_names(model):
        model.get_submodule(name).requires_grad_(True)
    heads = set(head_names(model))
    biases = [p for n, p in model.named_parameters() if n.endswith("bias") and not heads & set(n.split("."))]
    if not biases:
        raise ValueError(f"bitfit trains biases, and {type(model).__name__} has none; choose another method")
    for bias in biases:
        bias.requires_grad_(True)
    return model
