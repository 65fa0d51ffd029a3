"""Merging the adapters of a layer into its base weight, and unmerging them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import nn

from .base_forward import merge_obstacle
from .base_weights import float_weight, is_quantized, set_weight, stored_weight
from .caller_warnings import warn_caller
from .layer_part import LayerPart
from .offload import onloaded
from .stacked_merge import checksum, without_change

# A merge into a rounded weight that keeps a smaller share of ΔW warns.
KEPT_SHARE = 0.99


def warn_of_rounding(kept: float, dtype: torch.dtype, place: str) -> None:
    """Warn if a merge into a weight of this dtype keeps a smaller share of ``ΔW`` than `KEPT_SHARE`."""
    if abs(kept - 1) > 1 - KEPT_SHARE:
        warn_caller(
            f"merging into {dtype} keeps {kept:.1%} of ΔW in {place}: the rest is below the precision of the weight; "
            f"circpeft.merge(model, dtype=torch.float32) keeps all of it"
        )


class MergedLayer(LayerPart):
    """The part of an adapted layer that merges: ``W + sum of the merged ΔW`` takes the place of the base weight."""

    _weight_before_merge: list[nn.Parameter]
    _merged_checksum: int | None
    _merged_alphas: dict[str, float]

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
        # If another adapter was merged into the weight after an earlier merge here, unmerging must not remove it.
        is_own = not self._weight_before_merge or checksum(base) == self._merged_checksum
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
            norm = float(delta.square().sum())
            kept = float(((stored - weight) * delta).sum())
            warn_of_rounding(kept / norm if norm > 0 else 1.0, original.dtype, f"layer {self.name!r}")
        if not self._weight_before_merge:
            self._weight_before_merge.append(original)
        self._merged_checksum = checksum(base) if is_own else None
        self._merged_alphas |= {name: self.adapters[name].alpha for name in names}
        self.merged_adapters.extend(names)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the base weight as it was before the merge, bit for bit.

        If another adapter was merged into the weight later and is still merged, subtract ``ΔW`` instead.
        """
        if not self.merged:
            warn_caller("Already unmerged. Nothing to do.")
            return
        original, base = self._weight_before_merge[0], self.get_base_layer()
        with onloaded(base):
            if original.dtype != base.weight.dtype:  # the model was converted meanwhile
                if original.is_floating_point():
                    original.data = original.data.to(base.weight.dtype)
            elif checksum(base) != self._merged_checksum:
                changes = (self.change_with_alpha(name, alpha) for name, alpha in self._merged_alphas.items())
                original = without_change(base, reduce(torch.add, changes), self.name)
            set_weight(base, original)
        self._weight_before_merge.clear()
        self._merged_alphas.clear()
        self.merged_adapters.clear()
