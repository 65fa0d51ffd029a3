"""Keys of saved adapters without the parts that wrappers of torch add to names, in both directions."""

from __future__ import annotations

from typing import Any

from peft import PeftConfig
from torch import Tensor, nn

from .saved_keys import KEY_PREFIX, plain_name
from .trained_biases import biases_of


class PlainKeys:
    """The part of a tuner that selects and renames what PEFT (0.21 and later) saves and loads."""

    prefix: str

    @classmethod
    def _get_adapter_state_dict(
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, Tensor], **kwargs: Any
    ) -> dict[str, Tensor]:
        # PEFT looks for the names of the modules, and some wrappers have removed their own part from the keys.
        found = {key: value for key, value in state_dict.items() if f".{cls.prefix}adapters." in key}
        if config.bias == "all":
            found |= {key: value for key, value in state_dict.items() if key.endswith(".bias")}
        elif config.bias != "none":
            found |= biases_of(model, adapter_name, state_dict)
        return found

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # PEFT's version also removes the end of another key, such as that of a saved head's weight from "weight".
        marker = f".{cls.prefix}adapters."
        return plain_name(key.replace(f"{marker}{adapter_name}.", marker))

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        own = {plain_name(key): key for key in model.state_dict()}
        marker = f".{cls.prefix}adapters.{adapter_name}."
        own |= {cls._remove_adapter_name_from_key(key, adapter_name): key for key in own.values() if marker in key}
        # The keys of a model that PEFT does not wrap lack PEFT's prefix.
        own = {KEY_PREFIX + key: name for key, name in own.items()} | own
        return {own.get(plain_name(key), key): value for key, value in state_dict.items()}
