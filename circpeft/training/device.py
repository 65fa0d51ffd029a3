"""The kind of device beside the CPU on which torch can compute here."""

from __future__ import annotations

import torch


def accelerator() -> torch.device | None:
    """Return the kind of accelerator that is present, such as ``cuda``, or None.

    >>> found = accelerator()
    >>> found is None or found.type != "cpu"
    True
    """
    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kinds = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}  # torch before 2.6
    return next((torch.device(kind) for kind, module in kinds.items() if module.is_available()), None)
