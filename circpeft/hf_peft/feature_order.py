"""Random orders of features for all adapters of a model."""

from __future__ import annotations

import torch
from torch import nn

from ..adapters.permuted import check_permutable, permute_features
from .layer import CirculantLayer


def permute_all_features(model: nn.Module, seed: int) -> None:
    """Give the adapters of every layer a random order of its inputs and another one of its outputs.

    The base weights stay as they are, so the function of the model changes only with ``ΔW``. Merging is exact. Saving
    keeps only the kernels and diagonals, without the orders.

    Args:
        model: a model with adapters of C3A or CDVFT. It is changed in place.
        seed: seed of the orders, which are drawn layer by layer. torch's global random numbers are not used.

    Raises: ValueError for a model without such an adapter, with adapted convolutions or experts, or with features that
    are permuted already. The model is unchanged then.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, CirculantLayer)]
    if not layers:
        raise ValueError("the model has no layer with an adapter of C3A or CDVFT, so it has no features to permute")
    for layer in layers:
        for adapter in layer.adapters.values():
            try:
                check_permutable(adapter)
            except TypeError as error:
                raise ValueError(f"the features of layer {layer.name!r} cannot be permuted: {error}") from error
    numbers = torch.Generator().manual_seed(seed)
    for layer in layers:
        input_order, output_order = (torch.randperm(d, generator=numbers) for d in (layer.d_in, layer.d_out))
        for adapter in layer.adapters.values():
            permute_features(adapter, input_order, output_order)
