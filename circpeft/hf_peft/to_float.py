"""Conversion of a base model to one floating-point type. Quantised layers become plain ones."""

from __future__ import annotations

import torch
from torch import nn

from .base_weights import float_layer, is_quantized
from .layer import CirculantLayer
from .uncalled_layers import config_of

# Attributes with which transformers marks a quantised model.
QUANTIZATION_MARKS = ("is_quantized", "is_loaded_in_8bit", "is_loaded_in_4bit", "hf_quantizer", "quantization_method")


def to_float(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert a model to ``dtype`` in place, except its adapters.

    Merged adapters are unmerged meanwhile, so that no rounding of an earlier merge remains.

    Raises: what `float_layer` raises for a layer that cannot be dequantised. The model is unchanged then.
    """
    merged = [(m, list(m.merged_adapters)) for m in model.modules() if isinstance(m, CirculantLayer) and m.merged]
    for layer, _ in merged:
        layer.unmerge()
    try:
        _convert(model, dtype)
    finally:
        for layer, names in merged:
            layer.merge(adapter_names=names)


@torch.no_grad()
def _convert(model: nn.Module, dtype: torch.dtype) -> None:
    quantised = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if child is not None and is_quantized(child)
    ]
    plain = {child: float_layer(child, dtype) for _, _, child in quantised}
    for parent, name, child in quantised:
        setattr(parent, name, plain[child])
    layers = [layer for layer in model.modules() if isinstance(layer, CirculantLayer)]
    adapter_parameters = {id(p) for layer in layers for a in layer.adapters.values() for p in a.parameters()}
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point() and id(tensor) not in adapter_parameters:
            tensor.data = tensor.data.to(dtype)
    if quantised:
        for module in model.modules():
            for mark in QUANTIZATION_MARKS:
                module.__dict__.pop(mark, None)
            config = config_of(module)
            if hasattr(config, "quantization_config"):
                del config.quantization_config
