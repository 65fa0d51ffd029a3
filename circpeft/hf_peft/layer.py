"""The adapted layer: a base linear layer plus the sum of its active adapters, and the merge of both."""

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
from .base_forward import merge_obstacle
from .base_weights import float_weight, is_quantized, keep_trainable, linear_shape, set_weight, stored_weight
from .configs import CirculantConfig
from .offload import execution_device, onloaded
from .scaling import ScaledLayer
from .stacked_merge import checksum, without_change

# A merge into a rounded weight that keeps a smaller share of ΔW warns.
KEPT_SHARE = 0.99
# PEFT's name for "no adapter" in a batch that mixes adapters.
BASE = "__base__"


def _is_watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in module.__dict__


class CirculantLayer(nn.Module, ScaledLayer, BaseTunerLayer):
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
    def adapters(self) -> nn.ModuleDict:
        """The adapters of this layer by name."""
        return getattr(self, self.adapter_layer_names[0])

    @property
    def base_dtype(self) -> torch.dtype:
        """The dtype of the base weight."""
        return self.get_base_layer().weight.dtype

    def add_adapter(self, adapter_name: str, config: CirculantConfig) -> None:
        """Build this layer's adapter from a config, on the device where the base layer runs."""
        self.adapters[adapter_name] = config.build(self.name, self.d_in, self.d_out)
        self.initial_alphas[adapter_name] = self.adapters[adapter_name].alpha
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
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
            delta = self.adapters[adapter].delta_weight()
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Return True: ``ΔW`` is added to the weight, so `peft.convert_to_lora` can approximate it by a LoRA."""
        return True

    def names_to_merge(self, adapter_names: Sequence[str] | None = None) -> list[str]:
        """Return those of the named (by default the active) adapters that this layer has and has not merged yet."""
        names = self.active_adapters if adapter_names is None else adapter_names
        return [name for name in names if name in self.adapters and name not in self.merged_adapters]

    def check_mergeable(
        self, adapter_names: Sequence[str] | None = None, safe_merge: bool = False, stored: bool = True
    ) -> None:
        """Check that the named (by default the active) adapters can be merged; change nothing.

        Raises: ValueError if they are disabled, if ``ΔW`` cannot be added to the base layer's weight, with ``stored``
        if a quantised weight cannot be quantised again, and with ``safe_merge`` if their values are not finite.
        """
        names = self.names_to_merge(adapter_names)
        if not names:
            return
        if self.disable_adapters:
            raise ValueError(
                f"nothing is merged: the adapters are disabled (layer {self.name!r}); enable them, or call unload() to "
                f"remove them"
            )
        self._check_base(stored)
        for name in names if safe_merge else ():
            adapter = self.adapters[name]
            with onloaded(*adapter.modules()):
                finite = all(p.isfinite().all() for p in adapter.parameters())
            if not finite:
                broken = f"NaNs detected in the merged weights. The adapter {name} seems to be broken"
                raise ValueError(f"{broken} (layer {self.name!r}); nothing is merged")

    def _check_base(self, stored: bool) -> None:
        base = self.get_base_layer()
        if (obstacle := merge_obstacle(base)) is not None:
            raise ValueError(
                f"nothing is merged: layer {self.name!r} ({type(base).__name__}) cannot be merged, because {obstacle}. "
                f"Save the adapter instead (save_pretrained), and load it beside the layer; or leave the layer out "
                f"with exclude_modules"
            )
        if stored and is_quantized(base):
            stored_weight(base, float_weight(base), self.name)

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add ``ΔW`` of the named (by default the active) adapters to the base weight, in float32 or better.

        A weight that is tied to another layer is untied. If the weight is stored with fewer bits, a warning tells the
        share of ``ΔW`` that is kept.

        Raises: what `check_mergeable` raises; ValueError with ``safe_merge`` if the merged weight is not finite, and
        for a quantised weight that cannot be quantised again. The base weight is unchanged then.
        """
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.adapters]
        if names:
            self.check_mergeable(names, stored=False)  # an error of the storage changes nothing
            with onloaded(self.get_base_layer()):
                self._merge(names, safe_merge)

    def _merge(self, names: list[str], safe_merge: bool) -> None:
        base = self.get_base_layer()
        original = base.weight
        weight = float_weight(base)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        weight = weight.to(dtype)
        delta = reduce(torch.add, (self.get_delta_weight(name).to(weight.device, dtype) for name in names))
        merged = weight + delta
        # A new parameter, because the old one may be tied to another layer. The old one is kept for unmerge.
        set_weight(base, stored_weight(base, merged, self.name))
        stored = float_weight(base).to(dtype)
        if safe_merge and not (torch.isfinite(merged).all() and torch.isfinite(stored).all()):
            set_weight(base, original)
            broken = next((name for name in names if not self.get_delta_weight(name).isfinite().all()), names[-1])
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {broken} seems to be broken (layer {self.name!r})"
            )
        if not torch.equal(stored, merged):
            self._warn_of_rounding(weight, stored, delta, original.dtype)
        if not self._weight_before_merge:
            self._weight_before_merge.append(original)
        self._merged_checksum = checksum(base)
        self._merged_alphas |= {name: self.adapters[name].alpha for name in names}
        self.merged_adapters.extend(names)

    def _warn_of_rounding(self, weight: Tensor, stored: Tensor, delta: Tensor, dtype: torch.dtype) -> None:
        norm = delta.square().sum()
        kept = ((stored - weight) * delta).sum() / norm if norm > 0 else norm + 1
        if abs(float(kept) - 1) > 1 - KEPT_SHARE:
            warnings.warn(
                f"merging into {dtype} keeps {float(kept):.1%} of ΔW in layer {self.name!r}: the rest is below "
                f"the precision of the weight; circpeft.merge(model, dtype=torch.float32) keeps all of it",
                stacklevel=3,
            )

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the base weight as it was before the merge, bit for bit.

        If another adapter was merged into the weight later and is still merged, subtract ``ΔW`` instead.
        """
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        original, base = self._weight_before_merge.pop(), self.get_base_layer()
        with onloaded(base):
            if original.dtype != base.weight.dtype:  # the model was converted meanwhile
                if original.is_floating_point():
                    original.data = original.data.to(base.weight.dtype)
            elif checksum(base) != self._merged_checksum:
                changes = (self.change_with_alpha(name, alpha) for name, alpha in self._merged_alphas.items())
                original = without_change(base, reduce(torch.add, changes), self.name)
            set_weight(base, original)
        self._merged_alphas.clear()
        self.merged_adapters.clear()

    def forward(self, x: Tensor, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Tensor:
        """Return the base layer's output plus the active adapters' outputs, or per sample that of the named adapter."""
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
                    # A hook on an adapter must see the output of that adapter only.
                    if _is_watched(adapters[name]):
                        result = result + adapters[name](x).to(result.dtype)
                    else:
                        result = adapters[name](x, result)
        return result

    def _foldable(self, x: Tensor) -> nn.Module | None:
        """Return the one active adapter if adding its ``ΔW`` to the weight is exact and faster here, else None."""
        base = self.base_layer
        if type(base) is not nn.Linear or self.merged_adapters or self.disable_adapters:
            return None
        active = [name for name in self.active_adapters if name in self.adapters]
        adapter = self.adapters[active[0]] if len(active) == 1 else None
        if not hasattr(adapter, "folded_forward") or (adapter.training and adapter.dropout.p):
            return None
        if not folds(x, base.weight, adapter.kernel.shape[0] * adapter.kernel.shape[1]):
            return None
        # With a hook or a replaced forward, the forward has to be called.
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


# PEFT recognises adapted layers for target_modules="all-linear" by "Linear" in the class name.
class C3ALinear(CirculantLayer):
    """A layer with C3A adapters."""

    adapter_layer_names = ("circonv_adapters",)


class CDVFTLinear(CirculantLayer):
    """A layer with CDVFT adapters."""

    adapter_layer_names = ("cdvft_adapters",)
