"""The methods that train the model's own parameters: full fine-tuning, the head only, and BitFit."""

from torch import nn

from .model import Targets, checked_targets, head_names, new_head_names


def full(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Make every parameter trainable. The targets are checked, but have no effect."""
    checked_targets(model, target_modules)
    return model.requires_grad_(True)


def head(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Make only the head trainable. The targets are checked, but have no effect."""
    checked_targets(model, target_modules)
    model.requires_grad_(False)
    for name in head_names(model):
        model.get_submodule(name).requires_grad_(True)
    return model


def bitfit(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Apply BitFit (Ben Zaken et al. 2022): every bias trains, also in layer norms. The targets have no effect.

    Raises: ValueError for a model without biases, such as LLaMA.
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
