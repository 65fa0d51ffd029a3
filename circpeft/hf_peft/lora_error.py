"""What an adapter loses when it is converted to a LoRA, for people who have only PEFT."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import torch
from torch import nn

from ..suggest import nearest
from .layer import CirculantLayer


class LoraError(NamedTuple):
    """The relative error of a LoRA that approximates an adapter.

    Attributes:
        layers: the error of each adapted layer, by name.
        overall: the error of all layers together, ``sqrt(Σ |ΔW - ΔW_r|² / Σ |ΔW|²)``.
    """

    layers: dict[str, float]
    overall: float


@torch.no_grad()
def lora_error(model: nn.Module, rank: int, adapter_name: str = "default") -> LoraError:
    """Return the relative error of an adapter that `peft.convert_to_lora` converts to a LoRA of a rank.

    Formula: ``|ΔW - ΔW_r| / |ΔW| = sqrt(Σ_{i>r} σ_i² / Σ σ_i²)`` in the Frobenius norm, with the singular values σ of
    ``ΔW``. No LoRA of this rank has a smaller error (Eckart and Young). A circulant has full rank in general, so the
    error is large for small ranks. The model is not changed, and nothing is converted.

    Args:
        model: a model with an adapter of C3A or CDVFT.
        rank: the rank of the LoRA.
        adapter_name: name of the adapter in the model.

    Returns: the error of each layer, and of all layers together. 0 is exact; 1 is an error as large as ``ΔW``.

    Raises: ValueError if the rank is not a positive integer or exceeds a dimension of a layer, and if the model has no
    adapter with this name.

    >>> from circpeft import C3AConfig, inject
    >>> model = inject(nn.Sequential(nn.Linear(8, 8)), C3AConfig(target_modules=["0"], init_weights=False))
    >>> 0 < lora_error(model, rank=2).overall < 1
    True
    >>> lora_error(model, rank=8).overall < 1e-6
    True
    """
    if isinstance(rank, bool) or not isinstance(rank, Integral) or rank < 1:
        raise ValueError(f"rank must be a positive integer, got {rank!r}")
    adapted = [layer for layer in model.modules() if isinstance(layer, CirculantLayer)]
    layers = {layer.name: layer for layer in adapted if adapter_name in layer.adapters}
    if not layers:
        known = sorted({name for layer in adapted for name in layer.adapters})
        raise ValueError(f"the model has no adapter {adapter_name!r}; {nearest(adapter_name, known)}")
    for name, layer in layers.items():
        if not layer.supports_lora_conversion(adapter_name):
            raise ValueError(f"{name!r} is not a linear layer, and peft.convert_to_lora converts only those")
        if rank > min(layer.d_in, layer.d_out):
            raise ValueError(f"rank {rank} exceeds the dimensions of layer {name!r}, {layer.d_out} x {layer.d_in}")
    errors, lost, total = {}, 0.0, 0.0
    for name, layer in layers.items():
        energies = torch.linalg.svdvals(layer.get_delta_weight(adapter_name).double()).square()
        errors[name] = float((energies[rank:].sum() / energies.sum()).sqrt()) if energies.any() else 0.0
        lost, total = lost + float(energies[rank:].sum()), total + float(energies.sum())
    return LoraError(errors, (lost / total) ** 0.5 if total else 0.0)
