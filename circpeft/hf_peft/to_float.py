"""A whole base model in one floating-point type: quantised layers become plain ones."""

from __future__ import annotations

import torch
from torch import nn

from .base_weights import float_layer, is_quantized
from .layer import CirculantLayer

# What transformers notes on a quantised model, and what it must no longer say.
MARKS = ("is_quantized", "is_loaded_in_8bit", "is_loaded_in_4bit", "hf_quantizer", "quantization_method")


@torch.no_grad()
def to_float(model: nn.Module, dtype: torch.dtype) -> None:
    """Bring everything of a model but its adapters to ``dtype``, in place.

    Raises: what `float_layer` raises for a layer that cannot be dequantised; the model is unchanged then.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if child is not None and is_quantized(child)
    ]
    plain = {child: float_layer(child, dtype) for _, _, child in places}
    for parent, name, child in places:
        setattr(parent, name, plain[child])
    layers = [layer for layer in model.modules() if isinstance(layer, CirculantLayer)]
    kept = {id(p) for layer in layers for p in layer.adapters.parameters()}
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point() and id(tensor) not in kept:
            tensor.data = tensor.data.to(dtype)
    if places:
        for module in model.modules():
            for mark in MARKS:
                module.__dict__.pop(mark, None)
            config = getattr(module, "config", None)
            if hasattr(config, "quantization_config"):
                del config.quantization_config
