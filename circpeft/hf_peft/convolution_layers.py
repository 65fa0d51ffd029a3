"""The adapted convolution: a base `nn.Conv2d` plus the sum of its active adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.convolution import ConvolutionC3A, ConvolutionCDVFT, for_convolution
from ..ops.precision import has_autocast
from .configs import CirculantConfig
from .layer import GLOBAL_HOOKS, C3ALinear, CDVFTLinear, CirculantLayer, is_watched


class ConvolutionLayer(CirculantLayer):
    """A convolution with adapters.

    Formula: ``y = base(x) + sum over active adapters of conv2d(x, ΔW)``, with ``ΔW`` reshaped to the weight.
    """

    def _build(self, config: CirculantConfig) -> Any:
        return for_convolution(super()._build(config), self.get_base_layer(), self.name)

    def get_delta_weight(self, adapter: str) -> Tensor:
        """Return ``ΔW`` of one adapter in the shape of the base weight and the kernel's dtype.

        Raises: ValueError for a name that this layer does not have.
        """
        return super().get_delta_weight(adapter).view(self.get_base_layer().weight.shape)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Return False: PEFT converts only linear layers."""
        return False

    @staticmethod
    def _joins(x: Tensor, base: nn.Module, adapter: Any) -> bool:
        """Return whether ``ΔW`` may be added to the weight for this call: exactly enough, and nobody would notice."""
        if type(base) is not nn.Conv2d or type(adapter) not in (ConvolutionC3A, ConvolutionCDVFT):
            return False
        weight = base.weight
        if type(x) is not Tensor or type(weight) not in (nn.Parameter, Tensor) or x.dtype is not weight.dtype:
            return False
        # A sum in fewer bits, also those of autocast, would lose a small ΔW.
        if weight.dtype not in (torch.float32, torch.float64) or has_autocast(x.device):
            return False
        if adapter.training and adapter.dropout.p:
            return False
        return not (is_watched(base) or is_watched(adapter) or any(GLOBAL_HOOKS))

    def _mixed(self, x: Tensor, adapter_names: Sequence[str], *args: Any, **kwargs: Any) -> Tensor:
        if x.dim() != 4:
            raise ValueError(
                f"`adapter_names` needs a batch of shape (batch, channels, height, width), but layer {self.name!r} got "
                f"{tuple(x.shape)}"
            )
        return super()._mixed(x, adapter_names, *args, **kwargs)


# PEFT takes an adapted layer with "Linear" in the name of its class for a linear one (target_modules="all-linear").
class C3AConv2d(ConvolutionLayer, C3ALinear):
    """A convolution with C3A adapters."""


class CDVFTConv2d(ConvolutionLayer, CDVFTLinear):
    """A convolution with CDVFT adapters."""
