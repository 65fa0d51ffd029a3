"""Real leaves: a block-circulant matrix as a few dense real matrices, between two small orthogonal transforms.

Write ``b = R * e`` and read a block as an ``R x e`` matrix: position ``p = r*e + s`` is entry ``(r, s)``. Over the
complex numbers ``z^b - 1`` is the product of ``z^e - u_k`` with ``u_k = exp(-2 pi i k / R)``. So a DFT of ``R`` points
over the index ``r``, without twiddle factors, splits a product of ``b``-circulant matrices into ``R`` smaller products.
Each of them is a product with a dense matrix, and they are called leaves. For real kernels the leaves ``k`` and
``R - k`` are conjugates, which leaves ``R / 2`` real matrices of size ``2 n e x 2 m e``: one for the two real leaves
``k = 0`` and ``k = R/2``, and one for the real and imaginary parts of every other pair.

The matrix of a leaf is the transform of the rows of the circulant matrix itself; input ``s`` of a block sees the kernel
shifted by ``s``. The size of the leaves depends on ``R`` and the width, not on ``b``.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..circulant import other_layout

# Limits of R: with fewer leaves their matrices are too large, and a longer transform needs too many registers.
FEWEST, MOST = 8, 64
# Blocks from this size on are best split into MOST leaves, by a model of the bytes that are moved; others into half.
LARGE_BLOCK = 1024


def coarse_sizes(b: int) -> list[int]:
    """Return every possible ``R``, the number of points of the transform, for block size ``b``.

    ``R`` is an even divisor of ``b`` between `FEWEST` and `MOST`. Numbers of a GPU should be read at least four at a
    time, so ``b / R`` must be a multiple of four, or one.

    >>> coarse_sizes(64), coarse_sizes(128), coarse_sizes(127)
    ([8, 16, 64], [8, 16, 32], [])
    """
    return [r for r in range(FEWEST, MOST + 1, 2) if b % r == 0 and (b == r or b // r % 4 == 0)]


@lru_cache(maxsize=256)
def coarse_size(b: int) -> int | None:
    """Return the ``R`` of `coarse_sizes` that is used for block size ``b``; None if ``b`` has no good factor.

    >>> [coarse_size(b) for b in (48, 64, 128, 768, 4096, 127)]
    [48, 64, 32, 32, 64, None]
    """
    best = MOST if b >= LARGE_BLOCK else MOST // 2
    return min(coarse_sizes(b), key=lambda r: (abs(math.log(r / best)), -r), default=None)


def leaf_size(b: int) -> int:
    """Return the `coarse_size` of a block size that has one.

    Raises: ValueError for a block size without a good factor.

    >>> leaf_size(768)
    32
    """
    r = coarse_size(b)
    if r is None:
        raise ValueError(f"the block size {b} has no factor for the leaves; use the backend 'rfft'")
    return r


def dft_rows(r: int) -> np.ndarray:
    """Return the real DFT matrix ``(R, R)``: rows k = 0 and k = R/2, then the real and imaginary part of each k."""
    angle = 2 * np.pi / r * (np.outer(np.arange(r // 2 + 1), np.arange(r)) % r)
    rows = np.stack((np.cos(angle), -np.sin(angle)), axis=1)
    matrix: np.ndarray = np.concatenate((rows[[0, -1], 0], rows[1:-1].reshape(-1, r)))
    return matrix


@lru_cache(maxsize=64)
def tables(r: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the orthogonal DFT matrix of `transform`, and that of `leaf_matrices`, whose rows are not scaled.

    >>> forward, _ = tables(8, torch.float64, torch.device("cpu"))
    >>> torch.allclose(forward @ forward.T, torch.eye(8, dtype=torch.float64))
    True
    """
    # numpy computes them, so that a FLOP counter of torch operations does not count work that is done only once.
    plain = dft_rows(r)
    orthogonal = plain * np.sqrt(np.where(np.arange(r) < 2, 1, 2) / r)[:, None]
    return torch.from_numpy(orthogonal).to(device, dtype), torch.from_numpy(plain).to(device, dtype)


def transform(blocks: Tensor, r: int) -> Tensor:
    """Return the spectra of tokens: ``(t, n, b) -> (t, R, n*e)``; the norm of a token does not change."""
    t, n, b = blocks.shape
    forward, _ = tables(r, blocks.dtype, blocks.device)
    return forward @ blocks.view(t, n, r, b // r).transpose(1, 2).reshape(t, r, n * b // r)


def inverse(spectra: Tensor, m: int) -> Tensor:
    """Return the tokens of spectra, the inverse of `transform`: ``(t, R, m*e) -> (t, m*b)``."""
    t, r, columns = spectra.shape
    forward, _ = tables(r, spectra.dtype, spectra.device)
    return (forward.T @ spectra).view(t, r, m, columns // m).transpose(1, 2).reshape(t, r * columns)


def _shifted(b: int, e: int, sign: int, device: torch.device) -> Tensor:
    """Return the positions ``(p + sign * s) mod b`` as ``(e, b)``."""
    return (torch.arange(b, device=device) + sign * torch.arange(e, device=device)[:, None]) % b


def leaf_matrices(w: Tensor, r: int, layout: str) -> Tensor:
    """Return the matrices of the leaves: ``(m, n, b) -> (R/2, 2*n*e, 2*m*e)``.

    Rows and columns are the real parts of the leaf's numbers, then the imaginary parts. The first matrix holds the two
    real leaves as diagonal blocks.
    """
    (m, n, b), e = w.shape, w.shape[-1] // r
    _, plain = tables(r, w.dtype, w.device)
    kernels = w if layout == "column" else other_layout(w)
    shifted = kernels[..., _shifted(b, e, -1, w.device)]
    rows = shifted.view(m, n, e, r, e).permute(3, 1, 2, 0, 4).reshape(r, -1)
    real, imaginary = (plain @ rows).view(r // 2, 2, n * e, m * e).unbind(1)
    matrices = w.new_empty(r // 2, 2, n * e, 2, m * e)
    matrices[:, 0, :, 0] = matrices[:, 1, :, 1] = real
    matrices[:, 0, :, 1] = imaginary
    matrices[:, 1, :, 0] = -imaginary
    matrices[0, 0, :, 1] = matrices[0, 1, :, 0] = 0
    matrices[0, 1, :, 1] = imaginary[0]  # the real leaf k = R/2
    return matrices.view(r // 2, 2 * n * e, 2 * m * e)


def kernel_from_leaves(gradient: Tensor, m: int, n: int, layout: str) -> Tensor:
    """Return the kernels' gradient from that of the leaves' matrices, the transpose of `leaf_matrices`.

    Shapes: ``(R/2, 2*n*e, 2*m*e) -> (m, n, b)``. Sums have a fixed order: deterministic.
    """
    r, e = 2 * len(gradient), gradient.shape[1] // (2 * n)
    b = r * e
    _, plain = tables(r, gradient.dtype, gradient.device)
    parts = gradient.view(r // 2, 2, n * e, 2, m * e)
    real, imaginary = parts[:, 0, :, 0] + parts[:, 1, :, 1], parts[:, 0, :, 1] - parts[:, 1, :, 0]
    real[0], imaginary[0] = parts[0, 0, :, 0], parts[0, 1, :, 1]
    rows = plain.T @ torch.stack((real, imaginary), 1).view(r, -1)
    shifted = rows.view(r, n, e, m, e).permute(3, 1, 2, 0, 4).reshape(m, n, e, b)
    index = _shifted(b, e, 1, gradient.device).expand(m, n, e, b)
    kernels = shifted.gather(-1, index).sum(2)
    return kernels if layout == "column" else other_layout(kernels)


def product(spectra: Tensor, matrices: Tensor) -> Tensor:
    """Return spectra times the leaves' matrices: ``(t, R, n*e)``, ``(R/2, 2*n*e, 2*m*e) -> (t, R, m*e)``."""
    t, r, _ = spectra.shape
    return torch.bmm(pairs(spectra), matrices).transpose(0, 1).reshape(t, r, matrices.shape[-1] // 2)


def pairs(spectra: Tensor) -> Tensor:
    """Return spectra ``(t, R, columns)`` leaf by leaf, ``(R/2, t, 2*columns)``: a view."""
    t, r, columns = spectra.shape
    return spectra.view(t, r // 2, 2 * columns).transpose(0, 1)
