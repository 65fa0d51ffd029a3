"""Norms of a change of the weight, and how large they are after the first step of Adam."""

import torch
from torch import Tensor
from torch.fft import irfft, rfft


def norm_of_blocks(kernels: Tensor) -> float:
    """Return the spectral norm of C(w) for kernels (m, n, b): the largest norm over the frequencies.

    >>> norm_of_blocks(torch.ones(1, 1, 4))
    4.0
    """
    return float(torch.linalg.matrix_norm(rfft(kernels).permute(2, 0, 1), 2).max())


def first_norms(d: int, draws: int = 10) -> tuple[float, float]:
    """Return the norms of ΔW after one step of rate 1, in the mean over random inputs and gradients of width d.

    The first is that of LoRA of rank 8, the second that of one kernel with the scale s = 1.
    """
    lora, kernel = [], []
    for _ in range(draws):
        x, g = torch.randn(2, d)
        a = (2 * torch.rand(8, d) - 1) / d**0.5
        lora.append(d**0.5 * float((a.T @ (a @ x).sign()).norm()))  # B = sign(g) sign(A x)^T has rank one
        gradient = irfft(rfft(g).conj() * rfft(x), n=d)
        kernel.append(norm_of_blocks(gradient.sign()[None, None]))
    return sum(lora) / draws, sum(kernel) / draws
