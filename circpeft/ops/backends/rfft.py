"""Backend "rfft": products in the frequency domain of the real FFT, one chunk of tokens at a time."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

FUSED = True
BUILDS_MATRIX = False
# Entries of one chunk. On a CPU, its transforms should fit into the cache. On a GPU, one large call is faster.
CHUNK_ELEMENTS = {"cpu": 256 * 1024, "cuda": 64 * 1024 * 1024}
# Up to this many blocks in a single row or column, elementwise products are faster than a batched matrix product.
FEW_BLOCKS = 4


def is_available(device: torch.device) -> bool:
    """Return True: torch has real FFTs on every device."""
    return True


def tokens_per_chunk(x: Tensor, width: int) -> int:
    """Return the number of tokens of one chunk, for the wider side of the product."""
    budget = CHUNK_ELEMENTS.get(x.device.type, CHUNK_ELEMENTS["cpu"])
    return max(16, budget // width)


def _kernel_spectrum(w: Tensor, layout: str) -> Tensor:
    w_hat: Tensor = torch.fft.rfft(w)
    return w_hat.conj_physical() if layout == "row" else w_hat  # a lazy conjugate is lost under torch.compile


class FrequencyProducts:
    """Products of spectra on a grid of ``m x n`` kernels, one frequency at a time.

    A few blocks are multiplied elementwise. Many blocks are one small matrix product per frequency; for these, spectra
    are first brought into the order ``(f, rows, columns)`` (`arrange_tokens`, `arrange_kernels`).
    """

    def __init__(self, m: int, n: int) -> None:
        self.m, self.n = m, n
        self.elementwise = min(m, n) == 1 and max(m, n) <= FEW_BLOCKS

    def arrange_tokens(self, spectra: Tensor) -> Tensor:
        """Return the spectra ``(t, blocks, f)`` of tokens in the order that `product` needs."""
        return spectra if self.elementwise else spectra.permute(2, 0, 1).contiguous()

    def arrange_kernels(self, w_hat: Tensor) -> Tensor:
        """Return the spectra ``(m, n, f)`` of kernels in the order that `product` needs."""
        return w_hat if self.elementwise else w_hat.permute(2, 1, 0).contiguous()

    def product(self, x_hat: Tensor, w_hat: Tensor) -> Tensor:
        """Return tokens of n blocks times kernels, summed over n: ``(t, m, f)``."""
        if not self.elementwise:
            return torch.bmm(x_hat, w_hat).permute(1, 2, 0)
        if self.n == 1:
            return x_hat * w_hat[:, 0]
        y_hat = x_hat[:, :1] * w_hat[:, 0]
        for j in range(1, self.n):
            y_hat.addcmul_(x_hat[:, j : j + 1], w_hat[:, j])
        return y_hat

    def add_kernel_grad(self, total: Tensor, g_hat: Tensor, x_hat: Tensor) -> None:
        """Add ``sum_t g_hat * conj(x_hat)`` to ``total: (f, m, n)``. Overwrites ``x_hat`` with its conjugate."""
        x_hat.conj_physical_()
        if self.elementwise:
            total += (g_hat * x_hat).sum(0).view(self.m, self.n, -1).permute(2, 0, 1)
        else:
            torch.baddbmm(total, g_hat.transpose(1, 2), x_hat, out=total)


def _kernel_from_spectrum(total: Tensor, b: int, layout: str) -> Tensor:
    """Return the kernel gradient ``(m, n, b)`` from the sum ``(f, m, n)`` over all tokens."""
    if layout == "row":
        total = total.conj_physical()
    dw: Tensor = torch.fft.irfft(total.permute(1, 2, 0), n=b)
    return dw


def _zero_total(m: int, n: int, b: int, like: Tensor) -> Tensor:
    return torch.zeros(b // 2 + 1, m, n, dtype=torch.promote_types(like.dtype, torch.complex64), device=like.device)


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return ``irfft(sum_j rfft(w_ij) * rfft(x_j))``, with ``conj(rfft(w))`` for the row layout.

    Shapes: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``, float32 or float64.
    Source: CDVFT Eq. 8 and 12 (column); C3A section 3.2 and 3.4 (row), with real transforms.
    """
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y, 1.0)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``.

    Formula: ``irfft(sum_t conj(rfft x) * rfft g)`` (column); the conjugate is on ``rfft g`` in the row layout.

    Shapes: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``. Chunks are summed in a fixed order: deterministic.
    Source: CDVFT Eq. 11. C3A section 3.3 prints the gradient of the row layout with the kernel's index reversed.
    """
    m, n, t = g.shape[-1] // b, x.shape[-1] // b, x.shape[0]
    total, products = _zero_total(m, n, b, x), FrequencyProducts(m, n)
    step = tokens_per_chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        g_hat = torch.fft.rfft(g[start : start + step].contiguous().view(-1, m, b))
        x_hat = torch.fft.rfft(x[start : start + step].contiguous().view(-1, n, b))
        products.add_kernel_grad(total, products.arrange_tokens(g_hat), products.arrange_tokens(x_hat))
    return _kernel_from_spectrum(total, b, layout)


def scaled(w: Tensor, scale: float) -> Tensor:
    """Return ``scale * w``; ``w`` itself where the scale is 1."""
    return w if scale == 1 else w * scale


def write(rows: Tensor, values: Tensor, accumulate: bool) -> None:
    """Overwrite rows with values of any dtype, or add the values to them."""
    if accumulate:
        torch.add(values, rows, out=rows)
    else:
        rows.copy_(values)


def scaled_blocks(rows: Tensor, diagonal: Tensor | None, like: Tensor) -> Tensor:
    """Return rows in the dtype of ``like: (n, b)``, times the diagonal, padded with zeros to ``(t, n, b)``.

    The result is contiguous: on a CPU, torch 2.5 cannot transform expanded tensors, such as the gradient of a sum.
    """
    rows = rows.to(like.dtype)
    if diagonal is not None:
        rows = rows * diagonal
    n, b = like.shape
    surplus = n * b - rows.shape[-1]
    return (pad(rows, (0, surplus)) if surplus else rows).contiguous().view(-1, n, b)


def diagonal_matmul(
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    y: Tensor,
    scale: float,
) -> None:
    """Write ``base + scale * diagonal_out * C(w) (diagonal_in * x)`` into ``y``, one chunk at a time.

    Shapes: ``x: (t, d_in)``, ``w: (m, n, b)`` float32 or float64, ``y, base: (t, d_out)`` of any floating-point dtype.
    """
    (m, n, b), t = w.shape, x.shape[0]
    products = FrequencyProducts(m, n)
    w_hat = products.arrange_kernels(_kernel_spectrum(scaled(w, scale), layout))
    step = tokens_per_chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        x_hat = products.arrange_tokens(torch.fft.rfft(scaled_blocks(x[start : start + step], diagonal_in, w[0])))
        rows = torch.fft.irfft(products.product(x_hat, w_hat), n=b).reshape(-1, m * b)[:, : y.shape[-1]]
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
    scale: float,
    accumulate: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of `diagonal_matmul` for ``w`` and the diagonals; write or add that for ``x`` to ``dx``.

    Each transform is computed once. The intermediate results of the forward pass are computed again, chunk by chunk.
    Source: CDVFT Eq. 9 and 11; C3A section 3.3, corrected: its printed formula lacks the transpose of the matrix.
    """
    (m, n, b), t = w.shape, x.shape[0]
    products, transposed = FrequencyProducts(m, n), FrequencyProducts(n, m)
    w_hat = _kernel_spectrum(scaled(w, scale), layout)
    transposed_hat = transposed.arrange_kernels(w_hat.transpose(0, 1).conj_physical())
    w_hat = products.arrange_kernels(w_hat) if diagonal_out is not None else w_hat
    total = _zero_total(m, n, b, w)
    d_in = None if diagonal_in is None else torch.zeros_like(diagonal_in)
    d_out = None if diagonal_out is None else torch.zeros_like(diagonal_out)
    step = tokens_per_chunk(x, max(m, n) * b)
    for start in range(0, t, step):
        x_rows, g_rows = x[start : start + step], g[start : start + step]
        x_hat = products.arrange_tokens(torch.fft.rfft(scaled_blocks(x_rows, diagonal_in, w[0])))
        g_hat = products.arrange_tokens(torch.fft.rfft(scaled_blocks(g_rows, diagonal_out, w[:, 0])))
        if d_out is not None:
            y = torch.fft.irfft(products.product(x_hat, w_hat), n=b).reshape(-1, m * b)[:, : g.shape[-1]]
            d_out += (y * g_rows).sum(0)
        products.add_kernel_grad(total, g_hat, x_hat)
        if dx is not None or d_in is not None:
            u_grad = torch.fft.irfft(transposed.product(g_hat, transposed_hat), n=b).reshape(-1, n * b)
            u_grad = u_grad[:, : x.shape[-1]]
            if d_in is not None:
                d_in += (u_grad * x_rows).sum(0)
            if dx is not None:
                write(dx[start : start + step], u_grad if diagonal_in is None else u_grad * diagonal_in, accumulate)
    return scaled(_kernel_from_spectrum(total, b, layout), scale), d_in, d_out


def _rfft_flops(b: int) -> float:
    # A real transform costs half of the 5 b log2(b) real operations of a complex one.
    return 2.5 * b * math.log2(b) if b > 1 else 0.0


def _product_flops(t: int, m: int, n: int, b: int) -> int:
    # A complex multiply-add is eight real operations. Elementwise, the first product of a sum needs no add.
    first_terms = m if FrequencyProducts(m, n).elementwise else 0
    return t * (b // 2 + 1) * (8 * m * n - 2 * first_terms)


def _kernel_product_flops(t: int, m: int, n: int, b: int) -> int:
    # Elementwise, the sum over a chunk's tokens is added to the total; a matrix product accumulates as it goes.
    return (8 * t + 2 * FrequencyProducts(m, n).elementwise) * m * n * (b // 2 + 1)


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`.

    Counted are m + n transforms per token, m*n transforms of kernels, and a complex multiply-add per token, frequency
    and block.
    """
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + _product_flops(t, m, n, b)


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad` for one chunk: the transforms of `matmul`, and products summed over the tokens.

    With few blocks, each further chunk adds one more sum of m*n*(b//2+1) complex numbers.
    """
    return round((t * (n + m) + m * n) * _rfft_flops(b)) + _kernel_product_flops(t, m, n, b)


def diagonal_backward_flops(
    t: int, m: int, n: int, b: int, with_dx: bool = True, with_input: bool = False, with_output: bool = False
) -> int:
    """Return the FLOPs of `diagonal_matmul_backward` without its products with diagonals; each transform counts once.

    Args:
        with_dx, with_input: if either is set, the product with the transposed matrix is computed.
        with_output: the forward product is computed again.
    """
    transposed = with_dx or with_input
    transforms = (t * (m + n) + 2 * m * n + t * n * transposed + t * m * with_output) * _rfft_flops(b)
    products = _product_flops(t, n, m, b) * transposed + _product_flops(t, m, n, b) * with_output
    return round(transforms) + products + _kernel_product_flops(t, m, n, b)
