"""Export a C3A adapter for PEFT's own C3A, which people without circpeft have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, PeftType
from peft.tuners.tuners_utils import BaseTunerLayer

from ..hf_peft import C3AConfig, save_peft_c3a
from .adapter_folder import AdapterFolder
from .merged_model import model_bytes
from .new_folder import check_new, new_folder

LARGEST_ERROR = 1e-5  # relative, of ΔW in float32


@dataclass(frozen=True)
class PeftC3AExport:
    """A written adapter of PEFT's own C3A.

    Attributes:
        folder: its folder.
        layers: number of adapted layers.
        error: the largest relative error of a layer's ``ΔW``, as PEFT computes it from the written file.
    """

    folder: Path
    layers: int
    error: float


def export_peft_c3a(adapter: str | Path, out: str | Path, base: str = "") -> PeftC3AExport:
    """Write a C3A adapter of circpeft for PEFT's own C3A, and compare ``ΔW`` as PEFT computes it from the file.

    Args:
        adapter: folder of a saved adapter.
        out: folder of the new adapter; it must not exist, or be empty.
        base: hub id or folder of the base model; "" takes the one that the adapter names.

    Raises: ValueError for an adapter of another method, one that `save_peft_c3a` refuses, and a ``ΔW`` that PEFT
    computes differently; what `check_new`, `AdapterFolder.open` and `AdapterFolder.load` raise. Nothing is written
    then.
    """
    target, opened = check_new(out), AdapterFolder.open(adapter, base)
    method = opened.config.get("peft_type")
    if method == PeftType.C3A:
        raise ValueError(f"{str(adapter)!r} is an adapter of PEFT's own C3A already")
    if method != C3AConfig().peft_type:
        raise ValueError(
            f"{str(adapter)!r} is an adapter of {method}, which PEFT's C3A cannot express; expected circpeft's C3A. "
            f"Export a LoRA, or merge the adapter"
        )
    model = opened.load(torch.float32)  # PEFT's ΔW has the number format of the base weight
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    # The kernels are kept; the base model is used again for PEFT's adapter.
    ours = {name: layer.adapters["default"] for name, layer in layers.items()}
    with new_folder(target, sum(map(model_bytes, ours.values()))) as folder:
        save_peft_c3a(model, folder)
        theirs = PeftModel.from_pretrained(model.unload(), folder)
        errors = [_relative_error(theirs.get_submodule(name), kernel) for name, kernel in ours.items()]
        error = float(torch.tensor(errors).max())  # keeps NaN
        if not error <= LARGEST_ERROR:
            raise ValueError(
                f"PEFT's C3A computes another ΔW from this adapter (relative error {error:.2g}); merge it instead"
            )
    return PeftC3AExport(target, len(ours), error)


@torch.no_grad()
def _relative_error(theirs: BaseTunerLayer, ours: Any) -> float:
    expected, delta = ours.delta_weight(), theirs.get_delta_weight("default")
    return float((delta - expected).norm() / expected.norm().clamp_min(torch.finfo(expected.dtype).tiny))
