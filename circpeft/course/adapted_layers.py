"""One frozen linear layer with an adapter, from this package or from PEFT, for notebook 05's measurements."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..suggest import nearest

METHODS = ("lora", "vera", "fourierft", "c3a", "cdvft")


def frozen_layer(d_in: int = 768, d_out: int = 768, seed: int = 0) -> nn.Sequential:
    """Return a frozen linear layer without a bias, under a name that PEFT can target.

    >>> sum(p.numel() for p in frozen_layer(4, 3).parameters())
    12
    """
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d_in, d_out, bias=False)).requires_grad_(False)


def adapted_layer(method: str, d_in: int = 768, d_out: int = 768, seed: int = 0, **options: Any) -> nn.Module:
    """Return `frozen_layer` with an adapter of a method: C3A and CDVFT from circpeft, the others from PEFT.

    Args:
        method: one of `METHODS`.
        options: fields of the method's PEFT config, such as ``r`` or ``block_size``.

    Raises: ValueError for an unknown method; the message names the nearest.

    >>> sum(p.numel() for p in adapted_layer("c3a", 8, 8, block_size=4).parameters() if p.requires_grad)
    16
    """
    import peft

    from ..hf_peft import C3AConfig, CDVFTConfig

    configs = {
        "lora": peft.LoraConfig,
        "vera": peft.VeraConfig,
        "fourierft": peft.FourierFTConfig,
        "c3a": C3AConfig,
        "cdvft": CDVFTConfig,
    }
    if method not in configs:
        raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    if method in ("c3a", "cdvft"):
        options = {"init_weights": False, **options}
    return peft.get_peft_model(frozen_layer(d_in, d_out, seed), configs[method](target_modules=["0"], **options))
