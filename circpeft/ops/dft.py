"""Backend "dft": the Fourier transform as matrices, so that all of the work is in matrix products.

One real matrix up to `LARGEST_BLOCK`; above it two factors, where b has such, and else the fast transforms of "rfft".
"""

from functools import lru_cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from . import rfft, two_factors

# The matrix has b (b + 2) numbers: above this block size its products cost too much.
LARGEST_BLOCK = 512
# Numbers of the spectra of one chunk of tokens: they should stay in the processor's cache.
CHUNK_NUMBERS = {"cpu": 512 * 1024, "cuda": 64 * 1024 * 1024}


@lru_cache(maxsize=32)
def _matrices(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(forward, inverse)``, both ``(2f, b)`` with ``f = b//2 + 1``: rows are the real and the imaginary part of each
    frequency in turn. ``forward @ x`` is ``rfft(x)``, and ``y @ inverse`` is ``irfft(y)``.
    """
    f = b // 2 + 1
    # In numpy, so that a counter of what torch computes does not see what is made once.
    angle = 2 * np.pi / b * (np.outer(np.arange(f), np.arange(b)) % b)
    forward = np.stack((np.cos(angle), -np.sin(angle)), axis=1)
    twice = np.full((f, 1, 1), 2 / b)  # for itself and its mirrored frequency
    twice[0] = 1 / b
    if b % 2 == 0:
        twice[-1] = 1 / b
    return tuple(torch.from_numpy(part.reshape(2 * f, b)).to(device, dtype) for part in (forward, forward * twice))


def _spectra(rows: Tensor, forward: Tensor) -> Tensor:
    """Transforms of ``rows: (t, n, b)``, frequency first: ``(f, 2n, t)``, n real parts and then n imaginary ones."""
    t, n, _ = rows.shape
    spectra = rows.new_empty(len(forward), n, t)
    for j in range(n):
        torch.mm(forward, rows[:, j].T, out=spectra[:, j])
    return spectra.view(len(forward) // 2, 2 * n, t)


def _mixing(w: Tensor, forward: Tensor, layout: str) -> Tensor:
    """The kernels' complex numbers as real matrices, ``(f, 2m, 2n)``: ``[[re, -im], [im, re]]`` at each frequency."""
    m, n, b = w.shape
    real, imaginary = (w.view(m * n, b) @ forward.T).view(m, n, -1, 2).permute(3, 2, 0, 1)
    if layout == "row":
        imaginary = -imaginary
    return torch.cat((torch.cat((real, -imaginary), 2), torch.cat((imaginary, real), 2)), 1)


def _large(b: int) -> ModuleType:
    return rfft if two_factors.factors(b) is None else two_factors


def _chunk(x: Tensor, width: int) -> int:
    return max(64, CHUNK_NUMBERS.get(x.device.type, CHUNK_NUMBERS["cpu"]) // width)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Block-circulant product: transforms by matrix products, and a real ``2m`` by ``2n`` matrix a frequency.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, float32 or float64.
    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row).
    """
    (m, n, b), t = w.shape, x.shape[0]
    if b > LARGEST_BLOCK:
        return _large(b).matmul(x, w, layout)
    forward, inverse = _matrices(b, x.dtype, x.device)
    mixing = _mixing(w, forward, layout)
    y = x.new_empty(t, m, b)
    step = _chunk(x, (m + n) * b)
    for start in range(0, t, step):
        rows = x[start : start + step].view(-1, n, b)
        product = torch.bmm(mixing, _spectra(rows, forward)).view(len(forward), m, -1)
        for i in range(m):
            torch.mm(product[:, i].T, inverse, out=y[start : start + step, i])
    return y.view(t, m * b)


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Gradient for ``w``: ``irfft(sum_t conj(rfft x) * rfft g)`` (column), with the roles exchanged for the row layout.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``. Chunks are summed in a fixed order: deterministic.
    Source: CDVFT Eq. 11. C3A section 3.3 prints the row layout's with the kernel's index reversed.
    """
    if b > LARGEST_BLOCK:
        return _large(b).kernel_grad(g, x, b, layout)
    m, n, t = g.shape[-1] // b, x.shape[-1] // b, x.shape[0]
    forward, inverse = _matrices(b, x.dtype, x.device)
    total = x.new_zeros(len(forward) // 2, 2 * m, 2 * n)
    step = _chunk(x, (m + n) * b)
    for start in range(0, t, step):
        g_hat = _spectra(g[start : start + step].view(-1, m, b), forward)
        x_hat = _spectra(x[start : start + step].view(-1, n, b), forward)
        torch.baddbmm(total, g_hat, x_hat.mT, out=total)
    (rr, ri), (ir, ii) = (half.split(n, 2) for half in total.split(m, 1))  # g's part first
    real, imaginary = rr + ii, ir - ri if layout == "column" else ri - ir
    spectrum = torch.stack((real, imaginary), 1).view(len(forward), m * n)
    return (spectrum.T @ inverse).view(m, n, b)


def _transform_flops(count: int, b: int) -> int:
    return 2 * count * b * 2 * (b // 2 + 1)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``matmul``: n + m transforms a token and m*n once, as matrix products; a complex product a frequency."""
    if b > LARGEST_BLOCK:
        return _large(b).matmul_flops(t, m, n, b)
    return _transform_flops(t * (n + m) + m * n, b) + 8 * t * m * n * (b // 2 + 1)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``kernel_grad``: the same transforms, products summed over the tokens, and the spectra put together."""
    if b > LARGEST_BLOCK:
        return _large(b).kernel_grad_flops(t, m, n, b)
    return _transform_flops(t * (n + m) + m * n, b) + (8 * t + 2) * m * n * (b // 2 + 1)
