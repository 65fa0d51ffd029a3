"""Backend "rfft": products in the frequency domain of the real FFT, in chunks of tokens."""

import math

import torch
from torch import Tensor

# The transforms of one chunk should stay in the processor's cache; on a GPU one large call is better.
CHUNK_ELEMENTS = {"cpu": 256 * 1024, "cuda": 64 * 1024 * 1024}
# Up to this many blocks in one row or column, products entry by entry beat a batched matrix product a frequency.
FEW_BLOCKS = 4


def _chunk(x: Tensor, width: int) -> int:
    budget = CHUNK_ELEMENTS.get(x.device.type, CHUNK_ELEMENTS["cpu"])
    return max(16, budget // width)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Block-circulant product: ``irfft(sum_j rfft(w_ij) * rfft(x_j))``, with ``conj(rfft(w))`` for the row layout.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, float32 or float64.
    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row), with real transforms.
    """
    (m, n, b), t = w.shape, x.shape[0]
    w_hat = torch.fft.rfft(w)
    if layout == "row":
        w_hat = w_hat.conj_physical()  # a lazy conjugate is lost under torch.compile
    w_freq = w_hat.permute(2, 1, 0)  # (f, n, m): one small matrix a frequency
    y = x.new_empty(t, m, b)
    step = _chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        x_hat = torch.fft.rfft(x[start : start + step].view(-1, n, b))
        if m == 1 and n <= FEW_BLOCKS:
            y_hat = x_hat[:, :1] * w_hat[:, 0]
            for j in range(1, n):
                y_hat.addcmul_(x_hat[:, j : j + 1], w_hat[:, j])
        elif n == 1 and m <= FEW_BLOCKS:
            y_hat = x_hat * w_hat[:, 0]
        else:
            y_hat = (x_hat.permute(2, 0, 1) @ w_freq).permute(1, 2, 0)
        torch.fft.irfft(y_hat, n=b, out=y[start : start + step])
    return y.view(t, m * b)


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Gradient for ``w``: ``irfft(sum_t conj(rfft x) * rfft g)`` (column), with the roles exchanged for the row layout.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``. Chunks are summed in a fixed order: deterministic.
    Source: CDVFT Eq. 11. C3A section 3.3 prints the row layout's with the kernel's index reversed.
    """
    m, n, t = g.shape[-1] // b, x.shape[-1] // b, x.shape[0]
    total = torch.zeros(b // 2 + 1, m, n, dtype=torch.promote_types(x.dtype, torch.complex64), device=x.device)
    step = _chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        g_hat = torch.fft.rfft(g[start : start + step].view(-1, m, b))
        x_hat = torch.fft.rfft(x[start : start + step].view(-1, n, b))
        x_hat = x_hat.conj_physical()
        if min(m, n) == 1 and max(m, n) <= FEW_BLOCKS:
            total += (g_hat * x_hat).sum(0).view(m, n, -1).permute(2, 0, 1)
        else:
            total += g_hat.permute(2, 1, 0) @ x_hat.permute(2, 0, 1)
    if layout == "row":
        total = total.conj_physical()
    return torch.fft.irfft(total.permute(1, 2, 0), n=b)


def _rfft_flops(b: int) -> float:
    # A real transform costs half of the complex one's 5 b log2(b) real operations.
    return 2.5 * b * math.log2(b) if b > 1 else 0.0


def _products(t: int, m: int, n: int, b: int) -> int:
    # A complex multiply-add is eight real operations. Entry by entry the first product of a sum has no add.
    starts = m if min(m, n) == 1 and max(m, n) <= FEW_BLOCKS else 0
    return t * (b // 2 + 1) * (8 * m * n - 2 * starts)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``matmul``: n + m transforms a token, m*n once, and a complex multiply-add a frequency and block."""
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + _products(t, m, n, b)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``kernel_grad``: the same transforms, and products summed over the tokens of one chunk.

    Each further chunk adds one more sum of m*n*(b//2+1) complex numbers.
    """
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + (8 * t + 2) * m * n * (b // 2 + 1)
