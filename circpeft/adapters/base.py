"""What an adapter is: a weight change that can be applied without being built."""

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

from torch import Tensor


@runtime_checkable
class WeightDelta(Protocol):
    """An additive change ``ΔW`` of a linear layer's weight.

    Contract: ``forward(x) == x @ delta_weight().T`` (outside dropout), shapes ``x: (..., d_in) -> (..., d_out)`` and
    ``ΔW: (d_out, d_in)``; scale included in both.
    """

    d_in: int
    d_out: int

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """``Δh = x @ ΔW.T`` in the dtype of ``x``; with a base output, ``base + Δh`` in that one's dtype."""
        ...

    def delta_weight(self) -> Tensor:
        """``ΔW`` as a dense float32 (or float64) matrix, differentiable."""
        ...

    def set_weighted_sum(self, adapters: Sequence[Self], weights: Sequence[float]) -> None:
        """Take the parameters with which ``ΔW = sum_i weights[i] ΔW_i``, exactly.

        Raises: ValueError where this kind of adapter cannot hold that sum.
        """
        ...
