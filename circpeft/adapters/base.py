"""The contract of an adapter: a change of a weight that can be applied without being built."""

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

from torch import Tensor


@runtime_checkable
class WeightDelta(Protocol):
    """An additive change ``ΔW`` of a linear layer's weight.

    Contract: ``forward(x) == x @ delta_weight().T``, except for dropout. The scale is included in both.

    Shapes: ``x: (..., d_in) -> (..., d_out)``, ``ΔW: (d_out, d_in)``.
    """

    d_in: int
    d_out: int

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """Return ``Δh = x @ ΔW.T`` in the dtype of ``x``, or with a base output ``base + Δh`` in the base's dtype."""
        ...

    def delta_weight(self) -> Tensor:
        """Return ``ΔW`` as a dense, differentiable matrix in float32 (or float64)."""
        ...

    def set_weighted_sum(self, adapters: Sequence[Self], weights: Sequence[float]) -> None:
        """Set the parameters so that ``ΔW = sum_i weights[i] ΔW_i`` exactly.

        Raises: ValueError if this kind of adapter cannot represent that sum.
        """
        ...
