"""The one adapted layer: a base linear layer plus the sum of its active adapters. THE merge is here."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..ops import folds
from .base_weights import float_weight, keep_trainable, linear_shape, set_weight, stored_weight
from .configs import CirculantConfig

# Share of ΔW that a merge into a rounded weight must keep for it to pass without a warning.
KEPT_SHARE = 0.99
# PEFT's name for "no adapter" in a batch that mixes adapters.
BASE = "__base__"


def _is_watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in module.__dict__


class CirculantLayer(nn.Module, BaseTunerLayer):
    """A base layer with adapters, one module each, kept under the method's parameter prefix.

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
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        # A list, so that the parameter is none of this module's own.
        self._weight_before_merge: list[nn.Parameter] = []

    @property
    def adapters(self) -> nn.ModuleDict:
        """The adapters of this layer, by name."""
        return getattr(self, self.adapter_layer_names[0])

    def add_adapter(self, adapter_name: str, config: CirculantConfig) -> None:
        """Build the adapter that the config describes for this layer, on the base weight's device."""
        self.adapters[adapter_name] = config.build(self.name, self.d_in, self.d_out)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        # PEFT's own moves to the base weight's dtype too, also after loading: kernels stay float32 whatever that is.
        adapter = self.adapters[adapter_name] if adapter_name in self.adapters else None
        if adapter is not None and not any(p.is_meta for p in adapter.parameters()):
            adapter.to(self.get_base_layer().weight.device if device is None else device)

    def get_delta_weight(self, adapter: str) -> Tensor:
        """``ΔW`` of one adapter, in the shape of the base weight (transposed for Conv1D), at the kernel's precision."""
        if adapter not in self.adapters:
            raise ValueError(f"adapter {adapter!r} not found; this layer has: {', '.join(self.adapters) or 'none'}")
        delta = self.adapters[adapter].delta_weight()
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """ΔW is added to the weight, so PEFT can approximate it by a LoRA (`peft.convert_to_lora`)."""
        return True

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add ``ΔW`` of the named (by default the active) adapters to the base weight, summed at float32 or better.

        A weight tied to another layer's is untied by it. Warns with the share of ΔW that is kept where the weight is
        stored with fewer bits.

        Raises: ValueError with ``safe_merge`` where the merged weight is not finite, or for a quantised weight that
        cannot be stored again; the base weight is left as it was.
        """
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.adapters]
        if not names:
            return
        base = self.get_base_layer()
        before = base.weight
        weight = float_weight(base)
        compute = torch.promote_types(weight.dtype, torch.float32)
        weight = weight.to(compute)
        delta = reduce(torch.add, (self.get_delta_weight(name).to(compute) for name in names))
        merged = weight + delta
        # A new parameter, because the old one may be tied to another layer; kept, so that unmerge restores every bit.
        set_weight(base, stored_weight(base, merged, self.name))
        stored = float_weight(base).to(compute)
        if safe_merge and not (torch.isfinite(merged).all() and torch.isfinite(stored).all()):
            set_weight(base, before)
            broken = next((name for name in names if not self.get_delta_weight(name).isfinite().all()), names[-1])
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {broken} seems to be broken (layer {self.name!r})"
            )
        if not torch.equal(stored, merged):
            self._warn_of_rounding(weight, stored, delta, before.dtype)
        if not self._weight_before_merge:
            self._weight_before_merge.append(before)
        self.merged_adapters.extend(names)

    def _warn_of_rounding(self, weight: Tensor, stored: Tensor, delta: Tensor, dtype: torch.dtype) -> None:
        norm = delta.square().sum()
        kept = ((stored - weight) * delta).sum() / norm if norm > 0 else norm + 1
        if abs(float(kept) - 1) > 1 - KEPT_SHARE:
            warnings.warn(
                f"merging into {dtype} keeps {float(kept):.1%} of ΔW in layer {self.name!r}: the rest is below "
                f"what the weight can hold; circpeft.merge(model, dtype=torch.float32) keeps all of it",
                stacklevel=3,
            )

    def unmerge(self) -> None:
        """Restore the base weight from before the merge, bit for bit."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        before, base = self._weight_before_merge.pop(), self.get_base_layer()
        if before.is_floating_point() and before.dtype != base.weight.dtype:  # the model was converted since
            before.data = before.data.to(base.weight.dtype)
        set_weight(base, before)
        self.merged_adapters.clear()

    def forward(self, x: Tensor, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Tensor:
        """The base layer's output plus those of the active adapters, or of the named one for each sample."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        if adapter_names is None and not args and not kwargs and (adapter := self._foldable(x)) is not None:
            return adapter.folded_forward(x, self.base_layer.weight, self.base_layer.bias)
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        if adapter_names is not None:
            return self._mixed(result, x, adapter_names)
        if not self.merged_adapters:
            adapters = self.adapters
            for name in self.active_adapters:
                if name in adapters:
                    # Whoever watches an adapter is to see its own output.
                    if _is_watched(adapters[name]):
                        result = result + adapters[name](x).to(result.dtype)
                    else:
                        result = adapters[name](x, result)
        return result

    def _foldable(self, x: Tensor) -> nn.Module | None:
        """The one active adapter, where adding its ΔW to the weight for this call is exact and pays."""
        base = self.base_layer
        if type(base) is not nn.Linear or self.merged_adapters or self.disable_adapters:
            return None
        active = [name for name in self.active_adapters if name in self.adapters]
        adapter = self.adapters[active[0]] if len(active) == 1 else None
        if not hasattr(adapter, "folded_forward") or (adapter.training and adapter.dropout.p):
            return None
        if not folds(x, base.weight, adapter.kernel.shape[0] * adapter.kernel.shape[1]):
            return None
        # Someone who watches or replaces a forward wants it called.
        watched = _is_watched(base) or _is_watched(adapter)
        return None if watched or adapter.kernel.dtype != base.weight.dtype else adapter

    def _mixed(self, result: Tensor, x: Tensor, adapter_names: Sequence[str]) -> Tensor:
        if self.merged:
            raise ValueError(
                "Cannot pass `adapter_names` when there are merged adapters, please call `unmerge_adapter` first."
            )
        if len(adapter_names) != len(x):
            raise ValueError(
                f"Length of `adapter_names` should be the same as the number of inputs, but got {len(adapter_names)} "
                f"and {len(x)} respectively (layer {self.name!r})"
            )
        for name in set(adapter_names) & set(self.adapters):
            rows = torch.tensor([i for i, of in enumerate(adapter_names) if of == name], device=x.device)
            result = result.index_add(0, rows, self.adapters[name](x[rows]).to(result.dtype))
        return result

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}"


def check_finite(model: nn.Module, adapter_names: Sequence[str] | None = None) -> None:
    """ValueError where an adapter that is to be merged (by default an active one) holds values that are not finite.

    Found before the first layer is merged, so that the model is left as it was.
    """
    for layer in model.modules():
        if isinstance(layer, CirculantLayer):
            for name in adapter_names or layer.active_adapters:
                if name in layer.adapters and not all(p.isfinite().all() for p in layer.adapters[name].parameters()):
                    broken = f"NaNs detected in the merged weights. The adapter {name} seems to be broken"
                    raise ValueError(f"{broken} (layer {layer.name!r}); nothing is merged")


# PEFT finds adapted layers for target_modules="all-linear" by "Linear" in the class name.
class C3ALinear(CirculantLayer):
    """A layer with C3A adapters."""

    adapter_layer_names = ("circonv_adapters",)


class CDVFTLinear(CirculantLayer):
    """A layer with CDVFT adapters."""

    adapter_layer_names = ("cdvft_adapters",)
