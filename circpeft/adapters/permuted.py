"""Adapters of permuted features: the circulant structure follows a random order of the layer's inputs and outputs.

The order of a network's features is arbitrary: permuting the neurons of a layer, and undoing it in the next one, leaves
the network's function as it is. A circulant matrix does not ignore the order, since it ties entries that lie on one
wrapped diagonal. These adapters are for experiments that compare the order of the network with a random one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .c3a import C3A
from .cdvft import CDVFT

if TYPE_CHECKING:

    class _Inner(nn.Module):
        """What the other base of the classes below has."""

        def delta_weight(self) -> Tensor: ...

else:
    _Inner = object


class PermutedFeatures(_Inner):
    """The part that `PermutedC3A` and `PermutedCDVFT` share; `permute_features` makes them.

    Formula: ``ΔW = P_out^T ΔW' P_in``, with the adapter's own ``ΔW'``. That is
    ``ΔW[output_order[i], input_order[j]] = ΔW'[i, j]``.
    """

    input_order: Tensor
    output_order: Tensor

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """Return ``Δh = x @ ΔW.T`` in the dtype of ``x``, or with a base output ``base + Δh`` in the base's dtype."""
        y: Tensor = super().forward(x.index_select(-1, self.input_order))
        y = y.index_select(-1, self.output_order.argsort())
        return y if base is None else base + y.to(base.dtype)

    def delta_weight(self) -> Tensor:
        """Return ``ΔW: (d_out, d_in)``, with the features in the network's order."""
        return super().delta_weight()[self.output_order.argsort()][:, self.input_order.argsort()]

    def adapted_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``x @ (weight + ΔW).T + bias``, the output of the adapted linear layer, without dropout."""
        y: Tensor = self(x, linear(x, weight, bias))
        return y

    def set_weighted_sum(self, adapters: Sequence[Any], weights: Sequence[float]) -> None:
        """Refuse: the orders of two adapters differ in general, and the sum then has no such form.

        Raises: ValueError, always.
        """
        raise ValueError("adapters of permuted features cannot be combined; merge them into the weights instead")


class PermutedC3A(PermutedFeatures, C3A):
    """C3A with permuted features."""


class PermutedCDVFT(PermutedFeatures, CDVFT):
    """CDVFT with permuted features."""


_PERMUTED: dict[type, Any] = {C3A: PermutedC3A, CDVFT: PermutedCDVFT}


def check_permutable(adapter: Any) -> None:
    """Raise TypeError unless the features of an adapter can be permuted: a `C3A` or a `CDVFT` of a linear layer."""
    if type(adapter) not in _PERMUTED:
        raise TypeError(f"expected a C3A or a CDVFT with features in natural order, got {type(adapter).__name__}")


def permute_features(adapter: Any, input_order: Tensor, output_order: Tensor) -> PermutedC3A | PermutedCDVFT:
    """Have an adapter apply its structure to permuted features, and return it. It is changed in place.

    The names of its parameters stay. The two orders are not part of its ``state_dict``.

    Args:
        adapter: a `C3A` or a `CDVFT`.
        input_order: a permutation of ``0 .. d_in - 1``: the network's feature at each place of the adapter's input.
        output_order: the same for ``0 .. d_out - 1``.

    Raises: TypeError for another module; ValueError for an order that is not a permutation of these numbers.

    >>> adapter = C3A(4, 4, init_weights="gaussian")
    >>> inner = adapter.delta_weight()
    >>> adapter = permute_features(adapter, torch.tensor([2, 0, 1, 3]), torch.tensor([1, 0, 2, 3]))
    >>> bool(adapter.delta_weight()[1, 2] == inner[0, 0])
    True
    """
    check_permutable(adapter)
    for name, order, size in (("input", input_order, adapter.d_in), ("output", output_order, adapter.d_out)):
        if not torch.equal(order.sort().values, torch.arange(size, device=order.device)):
            raise ValueError(f"{name}_order must be a permutation of 0 to {size - 1}, got {order.tolist()}")
    adapter.__class__ = _PERMUTED[type(adapter)]
    device = next(adapter.parameters()).device
    adapter.register_buffer("input_order", input_order.to(device), persistent=False)
    adapter.register_buffer("output_order", output_order.to(device), persistent=False)
    permuted: PermutedC3A | PermutedCDVFT = adapter
    return permuted
