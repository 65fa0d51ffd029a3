"""Unmerging when another adapter was merged into the same weight after this one, and stays merged."""

import torch
from torch import Tensor, nn

from .base_weights import float_weight, is_quantized, stored_weight

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def checksum(layer: nn.Module) -> int | None:
    """Return the sum of the weight's values, read as integers, or None for a weight that is not a plain tensor.

    Unlike a sum of floats, it is exact, so it does not depend on the device.

    >>> layer = nn.Linear(2, 2)
    >>> before = checksum(layer)
    >>> layer.weight.data[0, 0] += 1
    >>> checksum(layer) == before
    False
    """
    data = layer.weight.data
    if is_quantized(layer) or type(data) is not Tensor or data.is_meta:
        return None
    return int(data.contiguous().view(INTEGERS[data.element_size()]).sum(dtype=torch.int64))


def without_change(layer: nn.Module, change: Tensor, name: str) -> nn.Parameter:
    """Return the layer's weight minus a merged change, in float32 or better before it is stored."""
    weight = float_weight(layer)
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return stored_weight(layer, weight.to(dtype) - change.to(weight.device, dtype), name)
