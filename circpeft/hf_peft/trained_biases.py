"""The biases that train beside an adapter with ``bias="circonv_only"`` or ``"cdvft_only"``: those of its own layers.

PEFT takes the biases of every layer that has an adapter, also those of layers that only another adapter adapts.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from .layer import CirculantLayer
from .saved_keys import plain_name


def freeze_biases_of_others(model: nn.Module, names: Iterable[str]) -> None:
    """Freeze the biases of the layers that none of the named adapters adapts."""
    names = set(names)
    for layer in model.modules():
        if isinstance(layer, CirculantLayer) and not names.intersection(layer.adapters):
            bias = getattr(layer.get_base_layer(), "bias", None)
            if isinstance(bias, nn.Parameter):
                bias.requires_grad = False


def biases_of(model: nn.Module, adapter_name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a model's state that are biases of the layers which an adapter adapts."""
    names = {
        plain_name(f"{name}.base_layer.bias")
        for name, module in model.named_modules()
        if isinstance(module, CirculantLayer) and adapter_name in module.adapters
    }
    return {key: value for key, value in state.items() if plain_name(key) in names}
