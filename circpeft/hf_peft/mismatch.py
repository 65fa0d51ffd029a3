"""Why a saved adapter does not fit a model: another base model, other settings, or another method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

import torch
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

Shapes = Mapping[str, torch.Size]


def other_method(keys: Collection[str], prefix: str) -> str | None:
    """Return the name of the method whose parameters an adapter file holds, if it is not the one with this prefix.

    >>> other_method(["base_model.model.0.lora_A.weight"], "circonv_")
    'LORA'
    """
    if any(f".{prefix}" in key for key in keys):
        return None
    known = [(str(prefix), kind) for kind, prefix in PEFT_TYPE_TO_PREFIX_MAPPING.items() if prefix]
    # The longest prefix comes first, because one may begin with another.
    for other, kind in sorted(known, key=lambda item: len(item[0]), reverse=True):
        if any(f".{other}" in key for key in keys):
            return str(getattr(kind, "value", kind))
    return None


def _sizes(shapes: Shapes) -> tuple[int, int, int | None] | None:
    """Return ``(d_in, d_out, block size)`` of a layer's parameters, if they show them.

    CDVFT pads its kernels, so the features are counted by its diagonals. C3A has only a kernel.
    """
    kernels = sorted(name for name in shapes if name.startswith("kernel"))
    if any(len(shapes[name]) != 3 for name in kernels):
        return None
    if "diagonal_0" in shapes:
        d_in, b = shapes["diagonal_0"][0], shapes[kernels[0]][-1] if kernels else None
        return d_in, shapes.get("diagonal_1", shapes["diagonal_0"])[0], b
    if not kernels:
        return None
    m, n, b = shapes[kernels[0]]
    return n * b, m * b, b


def of_shapes(layer: str, saved: Shapes, needed: Shapes) -> str:
    """Return why the parameters of a layer have other shapes, as the end of an error message.

    >>> of_shapes("0", {"kernel": torch.Size([2, 2, 4])}, {"kernel": torch.Size([1, 1, 8])})
    "layer '0' was saved with block size 4, but the settings give 8: ..."
    """
    first, second = _sizes(saved), _sizes(needed)
    if first is None or second is None:
        return "the adapter was made for another base model or other settings"
    if first[:2] != second[:2]:
        return (
            f"layer {layer!r} has {first[0]} inputs and {first[1]} outputs in the file, but {second[0]} and "
            f"{second[1]} in this model: the adapter was made for another base model"
        )
    belongs = "the adapter file and the settings do not belong together"
    return f"layer {layer!r} was saved with block size {first[2]}, but the settings give {second[2]}: {belongs}"


def of_keys(key: str, known: Collection[str]) -> str:
    """Return why a model has no such key, with the nearest that it has, as the end of an error message.

    >>> of_keys("layers.0.q.kernel", ["net.layers.0.q.kernel"])
    "this model has its layers under 'net.': load the adapter onto that part of it"
    """
    for other in known:
        if other.endswith(f".{key}"):
            return f"this model has its layers under {other.removesuffix(key)!r}: load the adapter onto that part of it"
        if key.endswith(f".{other}"):
            return (
                f"the adapter was saved with this model as the part {key.removesuffix(other)!r} of another: load it "
                f"onto that one, or save the adapter of the part"
            )
    close = get_close_matches(key, known, n=1, cutoff=0.3)
    nearest = f"; the nearest is {close[0]!r}" if close else ""
    return f"the adapter was made for another base model or for other target_modules{nearest}"
