"""C3A and CDVFT, the methods of this package."""

from typing import Any

from torch import nn

from ..hf_peft import C3AConfig, CDVFTConfig
from .model import Parameters, Targets, adapted, checked_targets


def c3a(
    model: nn.Module,
    target_modules: Targets = None,
    target_parameters: Parameters = None,
    block_size: int | str = "auto",
    alpha: float | str = "lora",
    dropout: float = 0.0,
    init_weights: bool | str = True,
    layout: str = "row",
) -> nn.Module:
    """Apply C3A, see `circpeft.C3A`."""
    targets = checked_targets(model, target_modules)
    fields: dict[str, Any] = {
        "block_size": block_size,
        "alpha": alpha,
        "dropout": dropout,
        "init_weights": init_weights,
    }
    fields["target_parameters"] = target_parameters or None
    return adapted(model, C3AConfig(target_modules=targets, layout=layout, **fields))


def cdvft(
    model: nn.Module,
    target_modules: Targets = None,
    target_parameters: Parameters = None,
    block_size: int | str = "auto",
    num_factors: int = 3,
    alpha: float | str = "lora",
    dropout: float = 0.0,
    init_weights: bool | str = True,
) -> nn.Module:
    """Apply CDVFT, see `circpeft.CDVFT`."""
    targets = checked_targets(model, target_modules)
    fields: dict[str, Any] = {
        "block_size": block_size,
        "alpha": alpha,
        "dropout": dropout,
        "init_weights": init_weights,
    }
    fields["target_parameters"] = target_parameters or None
    return adapted(model, CDVFTConfig(target_modules=targets, num_factors=num_factors, **fields))
