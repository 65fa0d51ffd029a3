"""The adapted layer: a base layer plus the sum of its active adapters."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn.modules import module
from transformers.pytorch_utils import Conv1D

from ..adapters import C3A, CDVFT
from .base_weights import keep_trainable, linear_shape
from .configs import CirculantConfig
from .merged_layer import MergedLayer
from .offload import execution_device, onloaded
from .scaling import ScaledLayer

# PEFT's name for "no adapter" in a batch that mixes adapters.
BASE = "__base__"
# torch's tables of hooks on all modules.
GLOBAL_HOOKS = (
    module._global_forward_pre_hooks,
    module._global_forward_hooks,
    module._global_backward_pre_hooks,
    module._global_backward_hooks,
)


def is_watched(module: nn.Module) -> bool:
    """Return whether a hook, a compiler or another forward would notice that a module is not called."""
    state = module.__dict__
    return bool(
        state["_forward_hooks"]
        or state["_forward_pre_hooks"]
        or state["_backward_hooks"]
        or state["_backward_pre_hooks"]
        or state.get("_compiled_call_impl") is not None
        or "forward" in state
    )


class CirculantLayer(nn.Module, MergedLayer, ScaledLayer, BaseTunerLayer):
    """A base layer with adapters, one module each, under the method's parameter prefix.

    Formula: ``y = base(x) + sum over active adapters of x @ ΔW.T``.
    """

    def __init__(self, base_layer: nn.Module, name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.d_in, self.d_out = linear_shape(self.get_base_layer(), name)
        keep_trainable(self.get_base_layer(), name)
        self.in_features, self.out_features = self.d_in, self.d_out  # PEFT's names
        self.name = name
        setattr(self, self.adapter_layer_names[0], nn.ModuleDict())
        self.initial_alphas: dict[str, float] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        # In a list, so that torch does not register the parameter with this module.
        self._weight_before_merge: list[nn.Parameter] = []
        self._merged_checksum: int | None = None
        self._merged_alphas: dict[str, float] = {}

    @property
    def adapters(self) -> MutableMapping[str, Any]:
        """The adapters of this layer by name, an `nn.ModuleDict`."""
        found: MutableMapping[str, Any] = getattr(self, self.adapter_layer_names[0])
        return found

    @property
    def base_dtype(self) -> torch.dtype:
        """The dtype of the base weight."""
        dtype: torch.dtype = self.get_base_layer().weight.dtype
        return dtype

    def add_adapter(self, adapter_name: str, config: CirculantConfig) -> None:
        """Build this layer's adapter from a config, on the device where the base layer runs."""
        self.adapters[adapter_name] = self._build(config)
        self.initial_alphas[adapter_name] = self.adapters[adapter_name].alpha
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _build(self, config: CirculantConfig) -> Any:
        return config.build(self.name, self.d_in, self.d_out)

    def _move_adapter_to_device_of_base_layer(
        self, adapter_name: str, device: torch.device | str | int | None = None
    ) -> None:
        # PEFT's version also changes the dtype to that of the base weight. Kernels stay in float32.
        adapter = self.adapters[adapter_name] if adapter_name in self.adapters else None
        if adapter is not None and not any(p.is_meta for p in adapter.parameters()):
            if device is None:  # offloaded weights lie on meta between forward passes
                device = execution_device(self.get_base_layer())
            adapter.to(self.get_base_layer().weight.device if device is None else device)

    def get_delta_weight(self, adapter: str) -> Tensor:
        """Return ``ΔW`` of one adapter in the shape of the base weight (transposed for Conv1D) and the kernel's dtype.

        Raises: ValueError for a name that this layer does not have.
        """
        if adapter not in self.adapters:
            raise ValueError(f"adapter {adapter!r} not found; this layer has: {', '.join(self.adapters) or 'none'}")
        with onloaded(*self.adapters[adapter].modules()):
            delta: Tensor = self.adapters[adapter].delta_weight()
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Return True: ``ΔW`` is added to the weight, so `peft.convert_to_lora` can approximate it by a LoRA."""
        return True

    def forward(self, x: Tensor, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Tensor:
        """Return the base layer's output plus the active adapters' outputs, or per sample that of the named adapter."""
        if self._disable_adapters and self.merged_adapters:
            self.unmerge()
        base: Any = self._modules["base_layer"]  # not by attribute, which torch looks up slowly
        adapters = [] if self._disable_adapters or self.merged_adapters else self._active()
        if len(adapters) == 1 and adapter_names is None and not args and not kwargs:
            if self._joins(x, base, adapters[0]):
                return adapters[0].adapted_forward(x, base.weight, base.bias)
        if adapter_names is not None and not self._disable_adapters:
            return self._mixed(x, adapter_names, *args, **kwargs)
        result: Tensor = base(x, *args, **kwargs)
        for adapter in adapters:
            # A hook on an adapter must see the output of that adapter only.
            result = result + adapter(x).to(result.dtype) if is_watched(adapter) else adapter(x, result)
        return result

    def _active(self) -> list[C3A | CDVFT]:
        """Return the active adapters that this layer has. They are looked up anew in each call."""
        named: Any = self._modules[self.adapter_layer_names[0]]
        adapters = named._modules
        return [adapters[name] for name in self.active_adapters if name in adapters]

    @staticmethod
    def _joins(x: Tensor, base: nn.Module, adapter: C3A | CDVFT) -> bool:
        """Return whether the only active adapter may compute the base layer's output too: nobody would notice."""
        if type(base) is not nn.Linear or type(adapter) not in (C3A, CDVFT) or type(x) is not Tensor:
            return False
        weight = base.weight
        modules: dict[str, Any] = adapter._modules
        if type(weight) not in (nn.Parameter, Tensor) or adapter.training and modules["dropout"].p:
            return False
        return x.dtype is weight.dtype and not (is_watched(base) or is_watched(adapter) or any(GLOBAL_HOOKS))

    def _mixed(self, x: Tensor, adapter_names: Sequence[str], *args: Any, **kwargs: Any) -> Tensor:
        if self.merged:
            raise ValueError(
                "Cannot pass `adapter_names` when there are merged adapters, please call `unmerge_adapter` first."
            )
        if len(adapter_names) != len(x):
            raise ValueError(
                f"Length of `adapter_names` should be the same as the number of inputs, but got {len(adapter_names)} "
                f"and {len(x)} respectively (layer {self.name!r})"
            )
        base: Any = self.base_layer
        rows_of: dict[str, list[int]] = {}
        for i, name in enumerate(adapter_names):
            rows_of.setdefault(name if name in self.adapters else BASE, []).append(i)
        named = {name: self.adapters[name] for name in rows_of if name != BASE}
        if named and not args and not kwargs and all(self._joins(x, base, adapter) for adapter in named.values()):
            # Each part as it would be computed by itself, so that its results do not depend on the rest of the batch.
            parts = {name: x[rows] for name, rows in rows_of.items()}
            outputs = [
                named[name].adapted_forward(part, base.weight, base.bias) if name in named else base(part)
                for name, part in parts.items()
            ]
            order = torch.tensor([i for rows in rows_of.values() for i in rows], device=x.device)
            return torch.cat(outputs)[order.argsort()]
        result: Tensor = base(x, *args, **kwargs)
        for name, adapter in named.items():
            rows = torch.tensor(rows_of[name], device=x.device)
            result = result.index_add(0, rows, adapter(x[rows]).to(result.dtype))
        return result

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}"


# PEFT recognises adapted layers for target_modules="all-linear" by "Linear" in the class name.
class C3ALinear(CirculantLayer):
    """A layer with C3A adapters."""

    adapter_layer_names = ("circonv_adapters",)


class CDVFTLinear(CirculantLayer):
    """A layer with CDVFT adapters."""

    adapter_layer_names = ("cdvft_adapters",)
