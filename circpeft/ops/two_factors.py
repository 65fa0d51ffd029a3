"""Fourier transforms of large blocks by matrix products: ``b = n1 * n2``, two tokens in one complex transform.

A block is an ``n1`` by ``n2`` matrix; its transform is a product with the DFT matrix of ``n1`` from the left, twiddle
factors entry by entry, and a product with that of ``n2`` from the right (Cooley and Tukey 1965). Entry ``(k1, k2)`` of
the result is frequency ``k1 + n1 * k2``. The kernels are real, so a pair of tokens goes as real and imaginary part.
Used by the backends "dft" and "triton".
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from . import rfft
from .circulant import other_layout

LARGEST_FACTOR = 128
# Numbers of one chunk of tokens, on a CPU.
CHUNK_NUMBERS = 256 * 1024


@lru_cache(maxsize=256)
def factors(b: int) -> tuple[int, int] | None:
    """``b = n1 * n2`` with the factors as near each other as can be, or None where one is over `LARGEST_FACTOR`.

    >>> factors(768), factors(11008), factors(4099)
    ((24, 32), (86, 128), None)
    """
    n1 = next(n for n in range(math.isqrt(b), 0, -1) if b % n == 0)
    return (n1, b // n1) if b // n1 <= LARGEST_FACTOR else None


@lru_cache(maxsize=64)
def tables(b: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """DFT matrix of n1, twiddle factors, DFT matrix of n2: real and imaginary part of each."""
    n1, n2 = factors(b)

    def parts(rows: int, columns: int, period: int) -> list[Tensor]:
        product = torch.outer(torch.arange(rows), torch.arange(columns)) % period
        turned = torch.polar(torch.ones((), dtype=torch.float64), -2 * torch.pi / period * product.double())
        return [part.to(device, dtype).contiguous() for part in (turned.real, turned.imag)]

    return [*parts(n1, n1, n1), *parts(n1, n2, b), *parts(n2, n2, n2)]


def spectrum(w: Tensor, layout: str) -> Tensor:
    """The kernels' transforms over b, in the order in which two factors give them: ``(m, n, b) -> (m, n, n1, n2)``."""
    n1, n2 = factors(w.shape[-1])
    w_hat = (torch.fft.fft(w) / w.shape[-1]).unflatten(-1, (n2, n1)).mT
    return w_hat if layout == "column" else w_hat.conj_physical()


def kernel_of(total: Tensor, layout: str) -> Tensor:
    """Kernel gradient from the sum of ``conj(x_hat) * g_hat`` over pairs of tokens, ``(m, n, n1, n2) -> (m, n, b)``.

    The imaginary part is what one token of a pair has with the other.
    """
    dw = torch.fft.ifft(total.mT.flatten(-2)).real
    return dw if layout == "column" else other_layout(dw)


def _complex_product(ar: Tensor, ai: Tensor, br: Tensor, bi: Tensor) -> tuple[Tensor, Tensor]:
    return ar @ br - ai @ bi, ar @ bi + ai @ br


def _transform(rows: Tensor) -> Tensor:
    """``(t, n, b)`` real, t even -> ``(t/2, n, b)`` complex, frequencies in the factors' order."""
    t, n, b = rows.shape
    f1r, f1i, tr, ti, f2r, f2i = tables(b, rows.dtype, rows.device)
    z = rows.view(t // 2, 2, n, *tr.shape)
    ar, ai = _complex_product(f1r, f1i, z[:, 0], z[:, 1])
    return torch.complex(*_complex_product(ar * tr - ai * ti, ar * ti + ai * tr, f2r, f2i)).flatten(-2)


def _back(y: Tensor) -> Tensor:
    """The inverse without its 1/b: ``(t/2, m, b)`` complex -> ``(t, m*b)`` real."""
    f1r, f1i, tr, ti, f2r, f2i = tables(y.shape[-1], y.real.dtype, y.device)
    y = y.unflatten(-1, tr.shape)
    cr, ci = _complex_product(y.real, y.imag, f2r, -f2i)
    pair = _complex_product(f1r, -f1i, cr * tr + ci * ti, ci * tr - cr * ti)
    return torch.stack(pair, 1).flatten(2).flatten(0, 1)


def _even_chunks(x: Tensor, n: int, b: int, width: int) -> list[Tensor]:
    """Chunks of rows as ``(t, n, b)``; an odd number of tokens gets one of zeros."""
    step = len(x) if x.device.type == "cuda" else max(16, CHUNK_NUMBERS // width // 2 * 2)
    chunks = []
    for start in range(0, len(x), max(step, 2)):
        rows = x[start : start + step].reshape(-1, n, b)
        chunks.append(torch.cat((rows, rows.new_zeros(1, n, b))) if len(rows) % 2 else rows)
    return chunks


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Block-circulant product ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, for a b that has two factors."""
    (m, n, b), w_hat = w.shape, spectrum(w, layout).flatten(-2)
    y, start, by = x.new_empty(len(x), m * b), 0, rfft.ByFrequency(m, n)
    w_hat = by.kernels(w_hat)
    for rows in _even_chunks(x, n, b, max(m, n) * b):
        part = y[start : start + len(rows)]
        part.copy_(_back(by.product(by.rows(_transform(rows)), w_hat))[: len(part)])
        start += len(rows)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Gradient for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``, for a b that has two factors."""
    m, n = g.shape[-1] // b, x.shape[-1] // b
    width, by = max(m, n) * b, rfft.ByFrequency(m, n)
    total = torch.zeros(b, m, n, dtype=torch.promote_types(x.dtype, torch.complex64), device=x.device)
    for g_rows, x_rows in zip(_even_chunks(g, m, b, width), _even_chunks(x, n, b, width), strict=True):
        by.add_kernel_grad(total, by.rows(_transform(g_rows)), by.rows(_transform(x_rows)))
    return kernel_of(total.permute(1, 2, 0).unflatten(-1, factors(b)), layout)


def transform_flops(count: int, b: int) -> int:
    """FLOPs of ``count`` complex transforms: two complex products and the twiddle factors."""
    n1, n2 = factors(b)
    return count * (8 * b * (n1 + n2) + 10 * b)


def _once(m: int, n: int, b: int) -> int:
    return round(m * n * 5 * b * math.log2(b)) if b > 1 else 0


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``matmul``: transforms of pairs of tokens, and a complex multiply-add a frequency and block."""
    pairs = -(-t // 2)
    return transform_flops(pairs * (m + n), b) + _once(m, n, b) + 8 * pairs * m * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``kernel_grad``: the same transforms, products summed over the pairs."""
    return matmul_flops(t, m, n, b)
