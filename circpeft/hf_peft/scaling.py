"""The scale of an adapter on a layer: the methods of PEFT's LoRA layers that diffusers calls."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from numbers import Real
from typing import Any

from torch import Tensor

from .caller_warnings import warn_caller
from .layer_part import LayerPart


def _checked(scale: float) -> float:
    # A comparison, because torch.compile cannot trace math.isfinite of a number that it keeps variable.
    if isinstance(scale, bool) or not isinstance(scale, Real) or not -math.inf < scale < math.inf:
        raise ValueError(f"scale must be a finite number, got {scale!r}")
    return float(scale)


class ScaledLayer(LayerPart):
    """The part of an adapted layer that scales ``ΔW`` of single adapters.

    The scale is a factor of the adapter's ``alpha``, so it counts wherever ``ΔW`` does: in the output, a mixed batch, a
    merge, `get_delta_weight` and a weighted sum. It is not saved: a saved adapter has the alpha of its config. A weight
    that is already merged keeps the scale with which it was merged.
    """

    # PEFT deletes an adapter's entries of these dicts with the adapter.
    other_param_names = ("initial_alphas",)

    @property
    def r(self) -> MutableMapping[str, Any]:
        """The adapters by name. LoRA's layers keep their ranks here; diffusers counts them to name a new adapter."""
        return self.adapters

    def set_scale(self, adapter: str, scale: float) -> None:
        """Set the adapter's ``alpha`` to ``scale`` times that of its config. Ignore an adapter of other layers.

        Raises: ValueError for a scale that is not a finite number.
        """
        scale = _checked(scale)
        if adapter in self.adapters:
            self._set_alpha(adapter, scale * self.initial_alphas[adapter])

    def scale_layer(self, scale: float) -> None:
        """Multiply the ``alpha`` of every active adapter by ``scale``.

        Raises: ValueError for a scale that is not a finite number.
        """
        scale = _checked(scale)
        for name in self._active_here():
            self._set_alpha(name, self.adapters[name].alpha * scale)

    def unscale_layer(self, scale: float | None = None) -> None:
        """Divide the ``alpha`` of every active adapter by ``scale``; by default, restore the alphas of their configs.

        Raises: ValueError for zero, and for a scale that is not a finite number.
        """
        if scale is not None and _checked(scale) == 0:
            raise ValueError("scale must not be 0: nothing can be divided by it; unscale_layer() restores every alpha")
        for name in self._active_here():
            self._set_alpha(name, self.initial_alphas[name] if scale is None else self.adapters[name].alpha / scale)

    def change_with_alpha(self, name: str, alpha: float) -> Tensor:
        """Return the adapter's ``ΔW`` as it is with another ``alpha``, in the shape of the base weight."""
        adapter = self.adapters[name]
        current, adapter.alpha = adapter.alpha, alpha
        try:
            return self.get_delta_weight(name)
        finally:
            adapter.alpha = current

    def _active_here(self) -> list[str]:
        return [name for name in self.active_adapters if name in self.adapters]

    def _set_alpha(self, name: str, alpha: float) -> None:
        adapter = self.adapters[name]
        if adapter.alpha != alpha and name in self.merged_adapters:
            warn_caller(f"adapter {name!r} is merged; its new scale takes effect when it is unmerged")
        adapter.alpha = alpha
