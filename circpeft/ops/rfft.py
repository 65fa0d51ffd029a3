"""Backend "rfft": products in the frequency domain of the real FFT, in chunks of tokens."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

# The transforms of one chunk should stay in the processor's cache; on a GPU one large call is better.
CHUNK_ELEMENTS = {"cpu": 256 * 1024, "cuda": 64 * 1024 * 1024}
# Up to this many blocks in one row or column, products entry by entry beat a batched matrix product a frequency.
FEW_BLOCKS = 4


def _chunk(x: Tensor, width: int) -> int:
    budget = CHUNK_ELEMENTS.get(x.device.type, CHUNK_ELEMENTS["cpu"])
    return max(16, budget // width)


def _kernel_spectrum(w: Tensor, layout: str) -> Tensor:
    w_hat = torch.fft.rfft(w)
    return w_hat.conj_physical() if layout == "row" else w_hat  # a lazy conjugate is lost under torch.compile


class ByFrequency:
    """Products of spectra on a grid of ``m x n`` kernels, frequency by frequency.

    With few blocks entry by entry; with many one small matrix a frequency, and for that everything lies in the order
    ``(f, rows, columns)``, into which spectra are brought once (`rows`, `kernels`).
    """

    def __init__(self, m: int, n: int) -> None:
        self.m, self.n = m, n
        self.few = min(m, n) == 1 and max(m, n) <= FEW_BLOCKS

    def rows(self, spectra: Tensor) -> Tensor:
        """Spectra ``(t, blocks, f)`` of tokens in the order of the products."""
        return spectra if self.few else spectra.permute(2, 0, 1).contiguous()

    def kernels(self, w_hat: Tensor) -> Tensor:
        """Spectra ``(m, n, f)`` of kernels in the order of the products."""
        return w_hat if self.few else w_hat.permute(2, 1, 0).contiguous()

    def product(self, x_hat: Tensor, w_hat: Tensor) -> Tensor:
        """Rows of n blocks times kernels, summed over n -> ``(t, m, f)``."""
        if not self.few:
            return torch.bmm(x_hat, w_hat).permute(1, 2, 0)
        if self.n == 1:
            return x_hat * w_hat[:, 0]
        y_hat = x_hat[:, :1] * w_hat[:, 0]
        for j in range(1, self.n):
            y_hat.addcmul_(x_hat[:, j : j + 1], w_hat[:, j])
        return y_hat

    def add_kernel_grad(self, total: Tensor, g_hat: Tensor, x_hat: Tensor) -> None:
        """Add ``sum_t g_hat * conj(x_hat)`` to ``total: (f, m, n)``. Conjugates x_hat in place: its last use."""
        x_hat.conj_physical_()
        if self.few:
            total += (g_hat * x_hat).sum(0).view(self.m, self.n, -1).permute(2, 0, 1)
        else:
            torch.baddbmm(total, g_hat.transpose(1, 2), x_hat, out=total)


def _kernel_of(total: Tensor, b: int, layout: str) -> Tensor:
    if layout == "row":
        total = total.conj_physical()
    return torch.fft.irfft(total.permute(1, 2, 0), n=b)


def _total(m: int, n: int, b: int, like: Tensor) -> Tensor:
    return torch.zeros(b // 2 + 1, m, n, dtype=torch.promote_types(like.dtype, torch.complex64), device=like.device)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Block-circulant product: ``irfft(sum_j rfft(w_ij) * rfft(x_j))``, with ``conj(rfft(w))`` for the row layout.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, float32 or float64.
    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row), with real transforms.
    """
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Gradient for ``w``: ``irfft(sum_t conj(rfft x) * rfft g)`` (column), with the roles exchanged for the row layout.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``. Chunks are summed in a fixed order: deterministic.
    Source: CDVFT Eq. 11. C3A section 3.3 prints the row layout's with the kernel's index reversed.
    """
    m, n, t = g.shape[-1] // b, x.shape[-1] // b, x.shape[0]
    total, by = _total(m, n, b, x), ByFrequency(m, n)
    step = _chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        g_hat = torch.fft.rfft(g[start : start + step].view(-1, m, b))
        x_hat = torch.fft.rfft(x[start : start + step].view(-1, n, b))
        by.add_kernel_grad(total, by.rows(g_hat), by.rows(x_hat))
    return _kernel_of(total, b, layout)


def _blocks(rows: Tensor, diagonal: Tensor | None, like: Tensor) -> Tensor:
    """A chunk of rows in the kernels' dtype, times the diagonal, padded with zeros to whole blocks: ``(t, n, b)``."""
    rows = rows.to(like.dtype)
    if diagonal is not None:
        rows = rows * diagonal
    n, b = like.shape
    surplus = n * b - rows.shape[-1]
    return (pad(rows, (0, surplus)) if surplus else rows).reshape(-1, n, b)


def diagonal_matmul(
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    y: Tensor,
) -> None:
    """``y = base + diagonal_out * C(w) (diagonal_in * x)``, chunk by chunk, each finished while it is in the cache.

    Shapes: ``x: (t, d_in)``, ``w: (m, n, b)`` float32 or float64, ``y, base: (t, d_out)`` of any floating-point dtype.
    """
    (m, n, b), t = w.shape, x.shape[0]
    by = ByFrequency(m, n)
    w_hat = by.kernels(_kernel_spectrum(w, layout))
    step = _chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        x_hat = by.rows(torch.fft.rfft(_blocks(x[start : start + step], diagonal_in, w[0])))
        rows = torch.fft.irfft(by.product(x_hat, w_hat), n=b).reshape(-1, m * b)[:, : y.shape[-1]]
        if diagonal_out is not None:
            rows *= diagonal_out
        if base is None:
            y[start : start + step] = rows
        else:
            torch.add(rows, base[start : start + step], out=y[start : start + step])


def diagonal_matmul_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    dx: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of `diagonal_matmul` for ``w`` and the diagonals, and for x into ``dx``, where that is given.

    Every transform is taken once: what the forward pass had in between is made again, a chunk at a time.
    Source: CDVFT Eq. 9 and 11; the product of the transposed grid, C3A section 3.3 with its transpose put back.
    """
    (m, n, b), t = w.shape, x.shape[0]
    by, back, w_hat = ByFrequency(m, n), ByFrequency(n, m), _kernel_spectrum(w, layout)
    back_hat = back.kernels(w_hat.transpose(0, 1).conj_physical())
    w_hat = by.kernels(w_hat) if diagonal_out is not None else w_hat
    total = _total(m, n, b, w)
    d_in = None if diagonal_in is None else torch.zeros_like(diagonal_in)
    d_out = None if diagonal_out is None else torch.zeros_like(diagonal_out)
    step = _chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        x_rows, g_rows = x[start : start + step], g[start : start + step]
        x_hat = by.rows(torch.fft.rfft(_blocks(x_rows, diagonal_in, w[0])))
        g_hat = by.rows(torch.fft.rfft(_blocks(g_rows, diagonal_out, w[:, 0])))
        if d_out is not None:
            y = torch.fft.irfft(by.product(x_hat, w_hat), n=b).reshape(-1, m * b)[:, : g.shape[-1]]
            d_out += (y * g_rows).sum(0)
        by.add_kernel_grad(total, g_hat, x_hat)
        if dx is not None or d_in is not None:
            into = torch.fft.irfft(back.product(g_hat, back_hat), n=b).reshape(-1, n * b)[:, : x.shape[-1]]
            if d_in is not None:
                d_in += (into * x_rows).sum(0)
            if dx is not None:
                dx[start : start + step] = into if diagonal_in is None else into * diagonal_in
    return _kernel_of(total, b, layout), d_in, d_out


def _rfft_flops(b: int) -> float:
    # A real transform costs half of the complex one's 5 b log2(b) real operations.
    return 2.5 * b * math.log2(b) if b > 1 else 0.0


def _few(m: int, n: int) -> bool:
    return ByFrequency(m, n).few


def _kernel_products(t: int, m: int, n: int, b: int) -> int:
    # Entry by entry a chunk's sum over its tokens is added to the others'; a matrix product adds it as it goes.
    return (8 * t + 2 * _few(m, n)) * m * n * (b // 2 + 1)


def _products(t: int, m: int, n: int, b: int) -> int:
    # A complex multiply-add is eight real operations. Entry by entry the first product of a sum has no add.
    starts = m if _few(m, n) else 0
    return t * (b // 2 + 1) * (8 * m * n - 2 * starts)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``matmul``: n + m transforms a token, m*n once, and a complex multiply-add a frequency and block."""
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + _products(t, m, n, b)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``kernel_grad``: the same transforms, and products summed over the tokens of one chunk.

    With few blocks each further chunk adds one more sum of m*n*(b//2+1) complex numbers.
    """
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + _kernel_products(t, m, n, b)


def backward_flops(t: int, m: int, n: int, b: int, dx: bool = True, again: bool = False) -> int:
    """FLOPs of ``diagonal_matmul_backward`` without its diagonals: each transform once, products by frequency.

    Args: ``dx``: a product with the transposed grid is among them; ``again``: the forward product is made again.
    """
    transforms = (t * (m + n) + 2 * m * n + t * n * dx + t * m * again) * _rfft_flops(b)
    products = _products(t, n, m, b) * dx + _products(t, m, n, b) * again
    return round(transforms) + products + _kernel_products(t, m, n, b)
