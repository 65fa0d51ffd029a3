"""The one adapted layer: a base linear layer plus the sum of its active adapters. THE merge is here."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from .configs import CirculantConfig

# Share of ΔW that a merge into a half-precision weight must keep for it to pass without a warning.
KEPT_SHARE = 0.99


def linear_shape(layer: nn.Module, name: str) -> tuple[int, int]:
    """``(d_in, d_out)`` of a supported base layer: nn.Linear or transformers' Conv1D.

    Raises: TypeError that names the layer and its type, for any other.
    """
    if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
        raise TypeError(
            f"layer {name!r} is the output projection of nn.MultiheadAttention, which reads its weight without calling "
            f"it, so an adapter there would do nothing; leave it out with exclude_modules"
        )
    if isinstance(layer, (nn.Linear, Conv1D)) and layer.weight.is_floating_point():
        return (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else tuple(layer.weight.shape)
    weight = getattr(layer, "weight", None)
    of = f" with {weight.dtype} weights" if isinstance(weight, Tensor) else ""
    raise TypeError(
        f"layer {name!r} is a {type(layer).__name__}{of}; circpeft adapts nn.Linear and transformers' Conv1D with "
        f"floating-point weights: name such layers in target_modules, or leave this one out with exclude_modules"
    )


class CirculantLayer(nn.Module, BaseTunerLayer):
    """A base layer with adapters, one module each, kept under the method's parameter prefix.

    Formula: ``y = base(x) + sum over active adapters of x @ ΔW.T``.
    """

    def __init__(self, base_layer: nn.Module, name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.d_in, self.d_out = linear_shape(self.get_base_layer(), name)
        self.name = name
        setattr(self, self.adapter_layer_names[0], nn.ModuleDict())
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._weight_before_merge: Tensor | None = None

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

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add ``ΔW`` of the named (by default the active) adapters to the base weight, summed at float32 or better.

        Raises: ValueError with ``safe_merge`` where the merged weight is not finite; the base weight is left as it was.
        """
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.adapters]
        if not names:
            return
        weight = self.get_base_layer().weight
        compute = torch.promote_types(weight.dtype, torch.float32)
        delta = sum(self.get_delta_weight(name).to(compute) for name in names)
        merged = (weight.to(compute) + delta).to(weight.dtype)
        if safe_merge and not torch.isfinite(merged).all():
            raise ValueError(f"NaNs detected in the merged weight of layer {self.name!r} by adapters {names}")
        if torch.finfo(weight.dtype).bits < 32:
            self._warn_of_rounding(weight, merged, delta)
        if self._weight_before_merge is None:
            # Kept so that unmerge restores it bit for bit; subtracting ΔW again would not.
            self._weight_before_merge = weight.data
        weight.data = merged
        self.merged_adapters.extend(names)

    def _warn_of_rounding(self, weight: Tensor, merged: Tensor, delta: Tensor) -> None:
        norm = delta.square().sum()
        kept = ((merged.to(delta.dtype) - weight.to(delta.dtype)) * delta).sum() / norm if norm > 0 else norm + 1
        if abs(float(kept) - 1) > 1 - KEPT_SHARE:
            warnings.warn(
                f"merging into {weight.dtype} keeps {float(kept):.1%} of ΔW in layer {self.name!r}: the rest is below "
                f"the weight's last bit; merge into float32 weights (model.float()) to keep it",
                stacklevel=3,
            )

    def unmerge(self) -> None:
        """Restore the base weight from before the merge, bit for bit."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        weight = self.get_base_layer().weight
        weight.data = self._weight_before_merge.to(device=weight.device, dtype=weight.dtype)
        self._weight_before_merge = None
        self.merged_adapters.clear()

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if name in self.adapters:
                result = result + self.adapters[name](x).to(result.dtype)
        return result

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}"


# PEFT finds adapted layers for target_modules="all-linear" by "Linear" in the class name.
class C3ALinear(CirculantLayer):
    """A layer with C3A adapters."""

    adapter_layer_names = ("circonv_adapters",)


class CDVFTLinear(CirculantLayer):
    """A layer with CDVFT adapters."""

    adapter_layer_names = ("cdvft_adapters",)
