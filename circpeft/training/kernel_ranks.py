"""The ranks of the circulants that an adapter has learnt, beside those of random kernels of the same shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

# Last part of a parameter's name: C3A's ``kernel``, CDVFT's ``kernel_1``, those of experts, and PEFT's C3A.
KERNEL = re.compile(r"(\.|_)kernel(_\d+)?$|\.c3a_kernel\.[^.]+$")


def circulant_ranks(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rank and the stable rank of each circulant matrix.

    The singular values of a circulant are the magnitudes ``|F_k|`` of its kernel's Fourier transform. The rank counts
    those above ``b * eps * max |F_k|`` with float32's eps, as `torch.linalg.matrix_rank` does. The stable rank is
    ``sum |F_k|² / max |F_k|²``: it is between 1 and ``b``, and near 1 if one frequency holds almost everything.

    Shapes: ``(..., b) -> (...), (...)``. Both are 0 for a kernel of zeros.

    >>> ranks, stable = circulant_ranks(torch.tensor([[1.0, 0, 0, 0], [1.0, 1, 1, 1], [0.0, 0, 0, 0]]))
    >>> ranks.tolist(), stable.tolist()
    ([4, 1, 0], [4.0, 1.0, 0.0])
    """
    values = torch.fft.fft(kernels.double()).abs()
    largest = values.amax(-1, keepdim=True)
    smallest = kernels.shape[-1] * torch.finfo(torch.float32).eps * largest
    ranks = ((values > smallest) & (values > 0)).sum(-1)
    stable = (values.square().sum(-1) / largest.squeeze(-1).square()).nan_to_num(0.0)
    return ranks, stable


def kernel_ranks(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Return the ranks of all kernels that a model trains, by block size; empty for a method without kernels.

    Under FSDP every process has to call this: each has a part of every parameter.

    Returns: for each block size (as text, for JSON) ``kernels``, their number; ``full``, how many have full rank;
    ``ranks``, how many have each rank; ``stable_rank``, the mean; and ``random``, the same for kernels of the same
    shapes with normal entries from a fixed seed.
    """
    found: dict[int, list[Tensor]] = {}
    for kernel in _kernels(model):
        found.setdefault(kernel.shape[-1], []).append(kernel.reshape(-1, kernel.shape[-1]))
    numbers = torch.Generator().manual_seed(0)
    ranks = {}
    for b, kernels in sorted(found.items()):
        random = [torch.randn(kernel.shape, generator=numbers) for kernel in kernels]
        ranks[str(b)] = {"kernels": sum(map(len, kernels)), **_summary(kernels), "random": _summary(random)}
    return ranks


def _kernels(model: nn.Module) -> Iterator[Tensor]:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and KERNEL.search(name):
            value = parameter.detach()
            value = value.full_tensor() if hasattr(value, "full_tensor") else value
            yield value.cpu()


def _summary(kernels: list[Tensor]) -> dict[str, Any]:
    """Return what is known of kernels of one block size, given layer by layer."""
    counts: Counter[int] = Counter()
    total = 0.0
    for of_layer in kernels:
        ranks, stable = circulant_ranks(of_layer)
        counts.update(ranks.tolist())
        total += stable.sum().item()
    number = sum(map(len, kernels))
    ordered = {str(rank): counts[rank] for rank in sorted(counts)}
    return {"full": counts[kernels[0].shape[-1]], "ranks": ordered, "stable_rank": total / number}
