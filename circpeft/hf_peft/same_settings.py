"""Compare the settings of an adapter with those of a saved one that is to be loaded under its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft import PeftConfig
from torch import nn

from ..adapters.experts import ExpertAdapters
from .configs import CirculantConfig
from .saved_adapter import check_saved_adapter
from .targets import layers_of

if TYPE_CHECKING:
    from .tuner import CirculantModel

# Fields that choose the layers, in the order in which they are compared.
CHOOSING_FIELDS = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "target_parameters")
# Attributes of an adapter, by the field that sets them.
ATTRIBUTES = {"block_size": "block_size", "alpha": "alpha", "layout": "layout", "num_factors": "num_factors"}


def check_reload(tuner: CirculantModel, saved: PeftConfig, adapter_name: str, folder: str) -> None:
    """Check that saved weights can be loaded over an adapter of a model.

    Raises: ValueError if they do not fit, or if they compute something else under the adapter's settings.
    """
    own = tuner.peft_config[adapter_name]
    if type(saved) is not type(own):
        kinds = [getattr(config.peft_type, "value", config.peft_type) for config in (own, saved)]
        raise ValueError(
            f"the model already has an adapter {adapter_name!r} of {kinds[0]}, and {folder} has one of {kinds[1]}; "
            f"choose another adapter_name"
        )
    layers = tuner.find_layers(saved, tuner.model)
    own_layers = {
        name: layer.adapters[adapter_name]
        for name, layer in layers_of(tuner.model)
        if isinstance(layer, tuner.tuner_layer_cls) and adapter_name in layer.adapters
    }
    check_same_settings(own, saved, own_layers, layers, adapter_name, folder)
    if saved._saved_adapter is not None:
        check_saved_adapter(saved, tuner.model, layers, tuner.prefix)


def check_same_settings(
    own: CirculantConfig,
    saved: PeftConfig,
    own_layers: Mapping[str, nn.Module],
    saved_layers: Mapping[str, nn.Module],
    adapter_name: str,
    folder: str,
) -> None:
    """Check that weights which were saved with one config compute the same under another.

    Args:
        own: the config of the adapter on the model.
        saved: the config beside the weights.
        own_layers: its adapters, by the name of the layer.
        saved_layers: the adapters that the other config gives.
        adapter_name: name of both.
        folder: where the weights are.

    Raises: ValueError that names the first setting that differs, and both values.
    """
    if own_layers.keys() != saved_layers.keys():
        differing = (name for name in CHOOSING_FIELDS if _value(own, name) != _value(saved, name))
        field = next(differing, "target_modules")
        _refuse(adapter_name, folder, field, _value(own, field), _value(saved, field))
    for layer, adapter in own_layers.items():
        parts, saved_parts = _parts(adapter), _parts(saved_layers[layer])
        if parts.keys() != saved_parts.keys():
            _refuse(adapter_name, folder, "target_parameters", sorted(parts), sorted(saved_parts), f" in {layer!r}")
        for part in parts:
            for field, attribute in ATTRIBUTES.items():
                value, saved_value = (getattr(a, attribute, None) for a in (parts[part], saved_parts[part]))
                if value != saved_value:
                    _refuse(
                        adapter_name, folder, field, value, saved_value, f" in layer {f'{layer}.{part}'.rstrip('.')!r}"
                    )
    for field in ("modules_to_save", "trainable_token_indices", "bias", "dropout"):
        value, saved_value = (_value(config, field) for config in (own, saved))
        if value != saved_value:
            _refuse(adapter_name, folder, field, value, saved_value)


def _parts(adapter: nn.Module) -> Mapping[str, nn.Module]:
    """Return the adapters of one layer by the weight that they change; a linear layer has only one."""
    return adapter.settings if isinstance(adapter, ExpertAdapters) else {"": adapter}


def _value(config: PeftConfig, field: str) -> Any:
    value = getattr(config, field, None)
    if field == "trainable_token_indices":
        return value  # in this order, in which the rows are saved
    if field == "modules_to_save":
        value = value or []
    return sorted(set(value)) if isinstance(value, (list, set)) else value


def _refuse(adapter_name: str, folder: str, field: str, own: Any, saved: Any, where: str = "") -> None:
    raise ValueError(
        f"the model already has an adapter {adapter_name!r} with other settings than the one in {folder}: "
        f"{field} is {own!r}{where} on the model and {saved!r} there; choose another adapter_name, or call "
        f"delete_adapter({adapter_name!r}) first"
    )
