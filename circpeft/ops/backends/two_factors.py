"""Fourier transforms of large blocks by matrix products: ``b = n1 * n2``, two tokens in one complex transform.

A block is read as an ``n1`` by ``n2`` matrix. Its transform has three steps (Cooley and Tukey 1965): a product with the
DFT matrix of ``n1`` from the left, an elementwise product with twiddle factors, and a product with the DFT matrix of
``n2`` from the right. Entry ``(k1, k2)`` of the result is frequency ``k1 + n1 * k2``. Since kernels are real, two
tokens share one complex transform, as its real and its imaginary part. The backends "dft" and "triton" use this module.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from ..circulant import other_layout
from . import rfft

LARGEST_FACTOR = 128
# Entries of one chunk of tokens on a CPU.
CHUNK_ELEMENTS = 256 * 1024


@lru_cache(maxsize=256)
def factors(b: int) -> tuple[int, int] | None:
    """Return the two closest factors of ``b``, the smaller first; None if the larger exceeds `LARGEST_FACTOR`.

    >>> factors(768), factors(11008), factors(4099)
    ((24, 32), (86, 128), None)
    """
    n1 = next(n for n in range(math.isqrt(b), 0, -1) if b % n == 0)
    return (n1, b // n1) if b // n1 <= LARGEST_FACTOR else None


@lru_cache(maxsize=64)
def tables(b: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Return the real and imaginary parts of the DFT matrix of n1, the twiddle factors and the DFT matrix of n2."""
    n1, n2 = factors(b)

    def parts(rows: int, columns: int, period: int) -> list[Tensor]:
        product = torch.outer(torch.arange(rows), torch.arange(columns)) % period
        roots = torch.polar(torch.ones((), dtype=torch.float64), -2 * torch.pi / period * product.double())
        return [part.to(device, dtype).contiguous() for part in (roots.real, roots.imag)]

    return [*parts(n1, n1, n1), *parts(n1, n2, b), *parts(n2, n2, n2)]


def spectrum(w: Tensor, layout: str) -> Tensor:
    """Return the kernels' transforms divided by b, in the order of the two factors: ``(m, n, b) -> (m, n, n1, n2)``."""
    n1, n2 = factors(w.shape[-1])
    w_hat = (torch.fft.fft(w) / w.shape[-1]).unflatten(-1, (n2, n1)).mT
    return w_hat if layout == "column" else w_hat.conj_physical()


def kernel_from_spectrum(total: Tensor, layout: str) -> Tensor:
    """Return the kernel gradient from the sum of ``conj(x_hat) * g_hat`` over pairs of tokens.

    Shapes: ``(m, n, n1, n2) -> (m, n, b)``. The imaginary part, which mixes the two tokens of a pair, is dropped.
    """
    dw = torch.fft.ifft(total.mT.flatten(-2)).real
    return dw if layout == "column" else other_layout(dw)


def _complex_product(ar: Tensor, ai: Tensor, br: Tensor, bi: Tensor) -> tuple[Tensor, Tensor]:
    return ar @ br - ai @ bi, ar @ bi + ai @ br


def _transform(rows: Tensor) -> Tensor:
    """Transform pairs of tokens: ``(t, n, b)`` real, t even, to ``(t/2, n, b)`` complex, in the factors' order."""
    t, n, b = rows.shape
    f1r, f1i, tr, ti, f2r, f2i = tables(b, rows.dtype, rows.device)
    z = rows.view(t // 2, 2, n, *tr.shape)
    ar, ai = _complex_product(f1r, f1i, z[:, 0], z[:, 1])
    return torch.complex(*_complex_product(ar * tr - ai * ti, ar * ti + ai * tr, f2r, f2i)).flatten(-2)


def _inverse(y: Tensor) -> Tensor:
    """Invert `_transform` without the factor 1/b: ``(t/2, m, b)`` complex to ``(t, m*b)`` real."""
    f1r, f1i, tr, ti, f2r, f2i = tables(y.shape[-1], y.real.dtype, y.device)
    y = y.unflatten(-1, tr.shape)
    cr, ci = _complex_product(y.real, y.imag, f2r, -f2i)
    pair = _complex_product(f1r, -f1i, cr * tr + ci * ti, ci * tr - cr * ti)
    return torch.stack(pair, 1).flatten(2).flatten(0, 1)


def _even_chunks(x: Tensor, n: int, b: int, width: int) -> list[Tensor]:
    """Return chunks of rows as ``(t, n, b)``; an odd number of tokens is completed by a token of zeros."""
    step = len(x) if x.device.type == "cuda" else max(16, CHUNK_ELEMENTS // width // 2 * 2)
    chunks = []
    for start in range(0, len(x), max(step, 2)):
        rows = x[start : start + step].reshape(-1, n, b)
        chunks.append(torch.cat((rows, rows.new_zeros(1, n, b))) if len(rows) % 2 else rows)
    return chunks


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return the block-circulant product, for a block size with two `factors`.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``.
    """
    m, n, b = w.shape
    y, start, products = x.new_empty(len(x), m * b), 0, rfft.FrequencyProducts(m, n)
    w_hat = products.arrange_kernels(spectrum(w, layout).flatten(-2))
    for rows in _even_chunks(x, n, b, max(m, n) * b):
        part = y[start : start + len(rows)]
        part.copy_(_inverse(products.product(products.arrange_tokens(_transform(rows)), w_hat))[: len(part)])
        start += len(rows)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``, for a block size with two `factors`.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``.
    """
    m, n = g.shape[-1] // b, x.shape[-1] // b
    width, products = max(m, n) * b, rfft.FrequencyProducts(m, n)
    total = torch.zeros(b, m, n, dtype=torch.promote_types(x.dtype, torch.complex64), device=x.device)
    for g_rows, x_rows in zip(_even_chunks(g, m, b, width), _even_chunks(x, n, b, width), strict=True):
        g_hat, x_hat = products.arrange_tokens(_transform(g_rows)), products.arrange_tokens(_transform(x_rows))
        products.add_kernel_grad(total, g_hat, x_hat)
    return kernel_from_spectrum(total.permute(1, 2, 0).unflatten(-1, factors(b)), layout)


def transform_flops(count: int, b: int) -> int:
    """Return the FLOPs of ``count`` complex transforms: two complex products and the twiddle factors."""
    n1, n2 = factors(b)
    return count * (8 * b * (n1 + n2) + 10 * b)


def _kernel_transform_flops(m: int, n: int, b: int) -> int:
    return round(m * n * 5 * b * math.log2(b)) if b > 1 else 0


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`: transforms of token pairs, and a complex multiply-add per frequency and block."""
    pairs = -(-t // 2)
    return transform_flops(pairs * (m + n), b) + _kernel_transform_flops(m, n, b) + 8 * pairs * m * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`: the transforms of `matmul`, and products summed over the pairs."""
    return matmul_flops(t, m, n, b)
