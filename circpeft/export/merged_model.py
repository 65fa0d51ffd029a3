"""Merge a saved adapter into its base model, and write a plain model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer

from ..hf_peft import merge
from ..hf_peft.base_weights import float_weight
from ..suggest import nearest
from .adapter_folder import AdapterFolder
from .new_folder import check_new, new_folder

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    Attributes:
        folder: the folder of the plain model.
        dtype: of its weights.
        layers: number of merged layers.
        kept: the smallest share of a layer's ``ΔW`` that the rounded weight keeps, 1 in exact arithmetic.
        worst: name of that layer; "" if no layer's ``ΔW`` can be read.
    """

    folder: Path
    dtype: str
    layers: int
    kept: float
    worst: str


def merge_folder(adapter: str | Path, out: str | Path, base: str = "", dtype: str = "") -> Merged:
    r"""Add a saved adapter's ``ΔW`` to the weights of its base model, and write the result as a plain model.

    transformers loads the result without PEFT and without circpeft. The folder is written under a temporary name beside
    ``out`` and renamed, so it is there completely or not at all. The tokenizer or image processor comes with it.

    Args:
        adapter: folder of a saved adapter.
        out: folder of the plain model; it must not exist, or be empty.
        base: hub id or folder of the base model; "" takes the one that the adapter names.
        dtype: "float32", "bfloat16" or "float16"; "" keeps that of the base model's files. In 16 bits a weight cannot
            hold all of a small ``ΔW``: ``kept`` is :math:`\langle R(W + ΔW) - W, ΔW \rangle / \lVert ΔW \rVert^2`, with
            the rounding R.

    Raises: ValueError for another dtype; what `new_folder`, `AdapterFolder.open`, `AdapterFolder.load` and `merge`
    raise.
    """
    target = check_new(out)
    opened = AdapterFolder.open(adapter, base)
    plain, shares = merged(opened, dtype)
    with new_folder(target, model_bytes(plain)) as folder:
        save(plain, opened, folder)
    worst = min(shares, key=shares.__getitem__, default="")
    stored = str(plain.dtype).removeprefix("torch.")
    return Merged(target, stored, len(shares), shares.get(worst, 1.0), worst)


def merged(opened: AdapterFolder, dtype: str = "") -> tuple[torch.nn.Module, dict[str, float]]:
    """Return the merged model of an adapter, and the share of ``ΔW`` that each layer keeps.

    Args:
        opened: the adapter.
        dtype: as in `merge_folder`.

    Raises: ValueError for another dtype; what `AdapterFolder.load` and `merge` raise.
    """
    if dtype and dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; {nearest(dtype, DTYPES)}")
    model = opened.load()
    stored = getattr(torch, dtype) if dtype else model.get_base_model().dtype
    shares = kept_shares(model, stored)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="merging into")  # reported as `kept`
        plain = merge(model, safe_merge=True, dtype=torch.float32 if dtype else None)
    if dtype:
        plain.to(stored)
    return plain, shares


def model_bytes(model: torch.nn.Module) -> int:
    """Return the size of a model's parameters in bytes. Tied parameters count once.

    >>> model_bytes(torch.nn.Linear(3, 2))
    32
    """
    return sum(parameter.nbytes for parameter in model.parameters())


def save(plain: Any, opened: AdapterFolder, folder: Path) -> None:
    """Write a merged model into a folder, with the tokenizer or image processor of the adapter or its base model."""
    plain.save_pretrained(folder)
    if (preprocessor := opened.preprocessor()) is not None:
        preprocessor.save_pretrained(folder)


@torch.no_grad()
def kept_shares(model: PeftModel, dtype: torch.dtype) -> dict[str, float]:
    """Return, by layer, the share of ``ΔW`` that is left after the merged weight is rounded to a dtype."""
    shares = {}
    layer: Any
    for name, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer) and hasattr(layer, "get_delta_weight"):
            weight = float_weight(layer.get_base_layer()).float()
            delta = sum(layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters)
            change = (weight + delta).to(dtype).float() - weight
            norm = float(delta.square().sum())
            shares[name] = float((change * delta).sum()) / norm if norm else 1.0
    return shares
