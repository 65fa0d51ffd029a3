"""Tables and tiles of the Triton kernels of backend "leaf"."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .leaf_algebra import dft_rows

# Numbers of a tile. With more, the registers of a GPU do not suffice.
TILE = 4096
# Programs that share the sums over tokens or shifts where there is little other work to share.
SHARES = {"tokens": 256, "shifts": 128}


def power_of_two(n: int) -> int:
    """Return the next power of two, and at least 16: a matrix product of Triton needs tiles of that size."""
    return max(16, 1 << (n - 1).bit_length())


@lru_cache(maxsize=64)
def tables(r: int, device: torch.device) -> dict[str, Tensor]:
    """Return the matrices that the kernels multiply by, padded with zeros to a power of two.

    "transform" is orthogonal. "matrices" and "gradient" are pairs for the kernels `leaf_matrices` and
    `kernel_gradient`.
    """
    plain, numbers = dft_rows(r), np.arange(r)
    leaf, part = numbers // 2, numbers % 2
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


def tile(r: int, e: int, columns: int, most: int = TILE) -> dict[str, Any]:
    """Return the sizes of a tile of ``R x columns`` numbers, and the number of warps, as options of a kernel."""
    rows = power_of_two(r)
    width = max(16, min(power_of_two(columns), most // rows))
    return {"R": r, "RP": rows, "e": e, "BC": width, "num_warps": 8 if rows * width >= TILE else 4}


def chunks(columns: int, sizes: dict[str, Any]) -> int:
    """Return how many tiles the columns need."""
    width: int = sizes["BC"]
    return -(-columns // width)
