"""The file of a saved adapter: found, and described by its header before any tensor is read.

Only safetensors is read. A pickle (``adapter_model.bin``) is a program, and even PyTorch's restricted reader of pickles
does not bound what it allocates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME
from peft.utils.constants import CONFIG_NAME
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .. import limits

CONVERT = (
    'python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in torch.load('
    "'adapter_model.bin', map_location='cpu', weights_only=True).items()}, 'adapter_model.safetensors')\""
)
# The header's names of types, and those that parameters of an adapter can have.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LONGEST_KEY = 1000  # characters
MOST_DIMENSIONS = 8
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class TensorHeader:
    """The shape of a saved tensor, and the header's name of its type."""

    shape: torch.Size
    dtype: str

    def suits(self, dtype: torch.dtype) -> bool:
        """Return whether a parameter or buffer of a type can take the values: floats take floats."""
        if dtype.is_floating_point:
            return self.dtype in FLOATS
        return DTYPES.get(self.dtype) == dtype


def find_files(path: str, subfolder: str | None = None, **hub: Any) -> tuple[str, str]:
    """Return the paths of an adapter's config and of its safetensors file; those of the hub are downloaded.

    The second path is "" for a local folder without an adapter file.

    Raises: ValueError for an adapter that exists only as a pickle, and for a hub without a config or an adapter.
    """
    folder = os.path.join(path, subfolder) if subfolder else path
    if not os.path.isdir(folder):
        config = _downloaded(path, CONFIG_NAME, subfolder, hub)
        return config, _downloaded(path, SAFETENSORS_WEIGHTS_NAME, subfolder, hub)
    config, file = os.path.join(folder, CONFIG_NAME), os.path.join(folder, SAFETENSORS_WEIGHTS_NAME)
    if not os.path.lexists(file):
        if os.path.lexists(os.path.join(folder, WEIGHTS_NAME)):
            raise ValueError(_pickled(os.path.join(folder, WEIGHTS_NAME)))
        return config, ""
    return config, file


def _pickled(file: str) -> str:
    return (
        f"{file} is a pickle, which can run any program when it is read; only {SAFETENSORS_WEIGHTS_NAME} is read. If "
        f"you trust the file, convert it in its folder: {CONVERT}"
    )


def _downloaded(path: str, name: str, subfolder: str | None, hub: Mapping[str, Any]) -> str:
    try:
        return str(hf_hub_download(path, name, subfolder=subfolder, **hub))
    except (OSError, ValueError) as error:  # the hub's errors are of these kinds
        place = "/".join(part for part in (path, subfolder, name) if part)
        advice = "" if name == CONFIG_NAME else f"; an adapter in {WEIGHTS_NAME} is a pickle, and is not read"
        raise ValueError(f"{place} cannot be loaded from the hub{advice}: {error}") from error


def read_header(file: str) -> dict[str, TensorHeader]:
    """Return what the header of a safetensors file says about each tensor. No tensor is read.

    Raises: ValueError that names the file, for one that cannot be read or exceeds `limits.ADAPTER` or `limits.HEADER`.
    """
    if not os.path.isfile(file):
        raise ValueError(f"{file} is not a file")
    limits.ADAPTER.check(file, os.path.getsize(file))
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if 8 + length <= os.path.getsize(file):  # otherwise the file is truncated, as safe_open says
        limits.HEADER.check(file, length)
    try:
        with safe_open(file, framework="pt") as opened:
            header = {}
            for key in opened.keys():
                part = opened.get_slice(key)
                _check_entry(file, key, part.get_shape())
                header[key] = TensorHeader(torch.Size(part.get_shape()), part.get_dtype())
            return header
    except (SafetensorError, OSError, RuntimeError, OverflowError) as error:
        raise ValueError(unreadable(file, error)) from error


def _check_entry(file: str, key: str, shape: list[int]) -> None:
    """Raise ValueError for a name or a shape that no parameter has, and that no error should print in full."""
    if len(key) > LONGEST_KEY:
        raise ValueError(f"{file} names a tensor with {len(key)} characters, {key[:80]!r}...; the adapter is broken")
    if len(shape) > MOST_DIMENSIONS or max(shape, default=0) >= 2**63:
        raise ValueError(f"{file}: {key!r} has {len(shape)} dimensions, {shape[:8]}...; the adapter is broken")


def unreadable(file: str, error: Exception) -> str:
    """Return the error for a file that safetensors cannot read."""
    return f"{file} cannot be read; it is truncated or not an adapter file: {error}"


def read_tensors(file: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises: ValueError that names the file, and the key of values that are not finite.
    """
    read_header(file)
    state = {}
    for key, tensor in _tensors(file):
        check_finite(file, key, tensor)
        state[key] = tensor
    return state


def check_all_finite(file: str) -> None:
    """Read one tensor after another; raise ValueError that names the file and the key of values that are not finite."""
    for key, tensor in _tensors(file):
        check_finite(file, key, tensor)


def _tensors(file: str) -> Any:
    try:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():
                yield key, opened.get_tensor(key)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(unreadable(file, error)) from error


def check_finite(file: str, key: str, tensor: Tensor) -> None:
    """Raise ValueError that names the file and the key, if a tensor has values that are not finite."""
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        count = int((~torch.isfinite(tensor)).sum())
        raise ValueError(f"{file}: {key!r} holds {count} values that are not finite; the adapter is broken")
