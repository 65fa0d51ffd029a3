"""Launches of the Triton kernels of backend "leaf": tables, tiles and grids, and what happens if Triton fails."""

import os
import warnings
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .leaf_algebra import dft_rows

OLDEST_TRITON = (3, 4)
# Numbers of a tile. With more, the registers of a GPU do not suffice.
TILE = 4096
# Programs that share the sums over tokens or shifts where there is little other work to share.
SHARES = {"tokens": 256, "shifts": 128}
_failures: list[str] = []


class KernelFailed(Exception):
    """Triton could not run a kernel."""


def power_of_two(n: int) -> int:
    """Return the next power of two, and at least 16: a matrix product of Triton needs tiles of that size."""
    return max(16, 1 << (n - 1).bit_length())


@lru_cache(maxsize=64)
def tables(r: int, device: torch.device) -> dict[str, Tensor]:
    """Return the matrices that the kernels multiply by, padded with zeros to a power of two.

    "transform" is orthogonal. "matrices" and "gradient" are pairs for the kernels `leaf_matrices` and
    `kernel_gradient`.
    """
    plain, leaf, part = dft_rows(r), np.arange(r) // 2, np.arange(r) % 2
    real = plain * ((leaf > 0) | (part == 0))[:, None]
    imaginary = np.empty_like(plain)
    imaginary[0::2], imaginary[1::2] = -plain[1::2], plain[0::2]
    imaginary[0], imaginary[1] = 0, plain[1]
    made = {
        "transform": plain * np.sqrt(np.where(np.arange(r) < 2, 1, 2) / r)[:, None],
        "matrices": np.stack((real, imaginary)),
        "gradient": np.stack((plain, np.roll(plain, -1, axis=1))),
    }
    surplus = power_of_two(r) - r
    padded = {name: np.pad(t, [(0, 0)] * (t.ndim - 2) + [(0, surplus)] * 2) for name, t in made.items()}
    return {name: torch.from_numpy(t).to(device, torch.float32) for name, t in padded.items()}


def is_usable(device: torch.device) -> bool:
    """Return whether to try the kernels: on a GPU, or in Triton's interpreter, and if they have not failed before."""
    return not _failures and (device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")


def remember(problem: KernelFailed) -> None:
    """Warn that the kernels are not used from now on."""
    _failures.append(str(problem))
    warnings.warn(
        f"{problem}. From now on, backend 'leaf' computes with torch.",
        stacklevel=2,
    )


@cache
def _kernels() -> ModuleType:
    """Return the module of the kernels."""
    try:
        triton = import_module("triton")
        version = tuple(int(part) for part in triton.__version__.split(".")[:2])
        if version < OLDEST_TRITON:
            needed = ".".join(map(str, OLDEST_TRITON))
            raise KernelFailed(f"Triton {triton.__version__} is too old for backend 'leaf'; it needs {needed} or later")
        return import_module("circpeft.ops.backends.leaf_kernels")
    except ImportError as problem:
        raise KernelFailed(f"Triton cannot be imported ({problem})") from problem


def launch(kernel: str, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a kernel of `leaf_kernels`.

    Raises: KernelFailed, with the kernel and its sizes, if Triton is missing or too old, or fails.
    """
    kernels = _kernels()
    try:
        getattr(kernels, kernel)[grid](*arguments, **constants)
    except Exception as problem:  # an installation or a compiler may fail in any way
        sizes = ", ".join(f"{name}={value}" for name, value in constants.items())
        raise KernelFailed(
            f"The Triton kernel {kernel!r} with {sizes} failed ({type(problem).__name__}: {problem})"
        ) from problem


def tile(r: int, e: int, columns: int, most: int = TILE) -> dict[str, Any]:
    """Return the sizes of a tile of ``R x columns`` numbers, and the number of warps, as options of a kernel."""
    rows = power_of_two(r)
    width = max(16, min(power_of_two(columns), most // rows))
    return {"R": r, "RP": rows, "e": e, "BC": width, "num_warps": 8 if rows * width >= TILE else 4}


def chunks(columns: int, sizes: dict[str, Any]) -> int:
    """Return how many tiles the columns need."""
    return -(-columns // sizes["BC"])
