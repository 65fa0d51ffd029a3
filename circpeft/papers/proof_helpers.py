"""Random vectors and the relative error, as the proofs of the errata use them."""

from __future__ import annotations

import torch
from torch import Tensor


def random_vectors(count: int, d: int = 768) -> Tensor:
    """Return ``count`` normal float64 vectors of length ``d``, shape (count, d), always with the same seed."""
    return torch.randn(count, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def relative_error(value: Tensor, truth: Tensor) -> float:
    """Return the relative L2 error of a value."""
    return float((torch.linalg.norm(value - truth) / torch.linalg.norm(truth)).detach())
