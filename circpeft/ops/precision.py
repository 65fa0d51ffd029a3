"""Precision of products: the dtype to compute in, autocast switched off, and whether TF32 is allowed."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

HALVES = (torch.float16, torch.bfloat16)
FAST_IN_HALF = {"cuda"}
_UNCHANGED = nullcontext()
# Before torch 2.9, a setting is true or false. After its newer settings were used, torch cannot be asked for the older.
NAMES_PRECISIONS = hasattr(torch.backends.mkldnn, "matmul")


def compute_dtype(*dtypes: torch.dtype) -> torch.dtype:
    """Return the dtype to compute a product in: the widest of its operands' dtypes, and float32 at least.

    >>> compute_dtype(torch.bfloat16, torch.float16), compute_dtype(torch.float32, torch.float64)
    (torch.float32, torch.float64)
    """
    result = torch.float32
    for dtype in dtypes:
        if dtype != result:
            result = torch.promote_types(result, dtype)
    return result


def has_autocast(device: torch.device) -> bool:
    """Return whether autocast is on for products on a device. torch cannot be asked for meta tensors.

    >>> has_autocast(torch.device("cpu")), has_autocast(torch.device("meta"))
    (False, False)
    """
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which products keep the dtype of their operands; autocast would use half precision."""
    return torch.autocast(device.type, enabled=False) if has_autocast(device) else _UNCHANGED


def tf32_allowed() -> bool:
    """Return whether a GPU may round the operands of float32 products to ten bits of mantissa."""
    settings: Any = torch.backends.cuda.matmul  # its types lack the newer settings
    return bool(settings.fp32_precision == "tf32" if NAMES_PRECISIONS else settings.allow_tf32)


def convolutions_allow_tf32() -> bool:
    """Return whether a GPU may round the operands of float32 convolutions to ten bits of mantissa."""
    settings: Any = torch.backends.cudnn
    return bool(settings.conv.fp32_precision == "tf32" if NAMES_PRECISIONS else settings.allow_tf32)


def rounding_on_cpu(operation: str) -> bool:
    """Return whether a CPU may round the operands of float32 products or convolutions.

    Args: ``operation``: "matmul" or "conv".
    """
    if NAMES_PRECISIONS:
        return getattr(torch.backends.mkldnn, operation).fp32_precision in ("tf32", "bf16")
    return operation == "matmul" and torch.get_float32_matmul_precision() == "medium"


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return the dtype that autocast makes an adapted layer's products of; None where it does not.

    On a GPU, products in half precision are several times as fast, and the layer's output has it anyway. On CPUs they
    are not, and the adapter's product stays in float32.
    """
    active = device in FAST_IN_HALF and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if active else None
