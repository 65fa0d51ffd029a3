"""Backend "dft": the Fourier transform as a dense matrix, so that all of the work is matrix products.

Blocks up to `LARGEST_BLOCK` are transformed by one real matrix. Larger ones are split into two factors
(`circpeft.ops.backends.two_factors`); a size that cannot be split is left to the fast transforms of "rfft".
"""

from functools import lru_cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from . import rfft, two_factors

FUSED = False
BUILDS_MATRIX = False
# The matrix has b (b + 2) entries: above this block size, products with it are too expensive.
LARGEST_BLOCK = 512
# Entries of the spectra of one chunk of tokens. On a CPU they should fit into the processor's cache.
CHUNK_ELEMENTS = {"cpu": 512 * 1024, "cuda": 64 * 1024 * 1024}


def is_available(device: torch.device) -> bool:
    """Return True: matrix products work on every device."""
    return True


@lru_cache(maxsize=32)
def _matrices(b: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ``(forward, inverse)``, both ``(2f, b)`` with ``f = b//2 + 1``.

    Their rows are the real and the imaginary part of each frequency in turn: ``forward @ x`` is ``rfft(x)``, and
    ``y @ inverse`` is ``irfft(y)``.
    """
    f = b // 2 + 1
    # numpy computes them, so that a FLOP counter of torch operations does not count work that is done only once.
    angle = 2 * np.pi / b * (np.outer(np.arange(f), np.arange(b)) % b)
    forward = np.stack((np.cos(angle), -np.sin(angle)), axis=1)
    weights = np.full((f, 1, 1), 2 / b)  # a frequency also stands for its mirror image
    weights[0] = 1 / b
    if b % 2 == 0:
        weights[-1] = 1 / b
    matrices = forward, forward * weights
    return tuple(torch.from_numpy(matrix.reshape(2 * f, b)).to(device, dtype) for matrix in matrices)


def _spectra(rows: Tensor, forward: Tensor) -> Tensor:
    """Return the transforms of ``rows: (t, n, b)`` as ``(f, 2n, t)``: n real parts, then n imaginary parts."""
    t, n, _ = rows.shape
    spectra = rows.new_empty(len(forward), n, t)
    for j in range(n):
        torch.mm(forward, rows[:, j].T, out=spectra[:, j])
    return spectra.view(len(forward) // 2, 2 * n, t)


def _kernel_matrices(w: Tensor, forward: Tensor, layout: str) -> Tensor:
    """Return the kernels' spectra as real matrices ``(f, 2m, 2n)``: ``[[re, -im], [im, re]]`` at each frequency."""
    m, n, b = w.shape
    real, imaginary = (w.view(m * n, b) @ forward.T).view(m, n, -1, 2).permute(3, 2, 0, 1)
    if layout == "row":
        imaginary = -imaginary
    return torch.cat((torch.cat((real, -imaginary), 2), torch.cat((imaginary, real), 2)), 1)


def _large_blocks(b: int) -> ModuleType:
    """Return the module that computes blocks above `LARGEST_BLOCK`."""
    return rfft if two_factors.factors(b) is None else two_factors


def _chunk(x: Tensor, width: int) -> int:
    """Return the number of tokens of one chunk, for the width of both sides together."""
    return max(64, CHUNK_ELEMENTS.get(x.device.type, CHUNK_ELEMENTS["cpu"]) // width)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return the block-circulant product: transforms as matrix products, and a ``2m x 2n`` matrix per frequency.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, float32 or float64.
    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row).
    """
    (m, n, b), t = w.shape, x.shape[0]
    if b > LARGEST_BLOCK:
        return _large_blocks(b).matmul(x, w, layout)
    forward, inverse = _matrices(b, x.dtype, x.device)
    kernels = _kernel_matrices(w, forward, layout)
    y = x.new_empty(t, m, b)
    step = _chunk(x, (m + n) * b)
    for start in range(0, t, step):
        rows = x[start : start + step].view(-1, n, b)
        product = torch.bmm(kernels, _spectra(rows, forward)).view(len(forward), m, -1)
        for i in range(m):
            torch.mm(product[:, i].T, inverse, out=y[start : start + step, i])
    return y.view(t, m * b)


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``.

    Formula: ``irfft(sum_t conj(rfft x) * rfft g)`` (column); the conjugate is on ``rfft g`` in the row layout.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``. Chunks are summed in a fixed order: deterministic.
    Source: CDVFT Eq. 11. C3A section 3.3 prints the gradient of the row layout with the kernel's index reversed.
    """
    if b > LARGEST_BLOCK:
        return _large_blocks(b).kernel_grad(g, x, b, layout)
    m, n, t = g.shape[-1] // b, x.shape[-1] // b, x.shape[0]
    forward, inverse = _matrices(b, x.dtype, x.device)
    total = x.new_zeros(len(forward) // 2, 2 * m, 2 * n)
    step = _chunk(x, (m + n) * b)
    for start in range(0, t, step):
        g_hat = _spectra(g[start : start + step].view(-1, m, b), forward)
        x_hat = _spectra(x[start : start + step].view(-1, n, b), forward)
        torch.baddbmm(total, g_hat, x_hat.mT, out=total)
    (rr, ri), (ir, ii) = (half.split(n, 2) for half in total.split(m, 1))  # part of g, part of x
    real, imaginary = rr + ii, ir - ri if layout == "column" else ri - ir
    spectrum = torch.stack((real, imaginary), 1).view(len(forward), m * n)
    return (spectrum.T @ inverse).view(m, n, b)


def _transform_flops(count: int, b: int) -> int:
    return 2 * count * b * 2 * (b // 2 + 1)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`.

    Counted are m + n transforms per token and m*n transforms of kernels, all as matrix products, and a complex
    multiply-add per token, frequency and block.
    """
    if b > LARGEST_BLOCK:
        return _large_blocks(b).matmul_flops(t, m, n, b)
    return _transform_flops(t * (n + m) + m * n, b) + 8 * t * m * n * (b // 2 + 1)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`.

    Counted are the transforms of `matmul`, products summed over the tokens, and the final sums of real and imaginary
    parts.
    """
    if b > LARGEST_BLOCK:
        return _large_blocks(b).kernel_grad_flops(t, m, n, b)
    return _transform_flops(t * (n + m) + m * n, b) + (8 * t + 2) * m * n * (b // 2 + 1)
