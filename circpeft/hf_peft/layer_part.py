"""What the parts of an adapted layer use of each other, and of PEFT's layer class."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from torch import Tensor


class LayerPart:
    """The base of the parts. It only names attributes and methods, for type checkers; others define them."""

    active_adapters: list[str]
    adapter_layer_names: tuple[str, ...]
    disable_adapters: bool
    initial_alphas: dict[str, float]
    merged: bool
    merged_adapters: list[str]
    name: str

    if TYPE_CHECKING:

        @property
        def adapters(self) -> MutableMapping[str, Any]: ...

        def change_with_alpha(self, name: str, alpha: float) -> Tensor: ...

        # A linear layer of torch, transformers or a library for quantised weights, or a module of experts.
        def get_base_layer(self) -> Any: ...

        def get_delta_weight(self, adapter: str) -> Tensor: ...

        def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None: ...
