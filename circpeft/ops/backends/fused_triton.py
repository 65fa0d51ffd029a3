"""Backend "triton": few large blocks on a GPU in one kernel, with the diagonals and the sum with the base output.

Its kernels compute float32 or less, for up to `MOST_BLOCKS` blocks of a size that `two_factors` can split. Everything
else is left to "rfft". Where Triton is missing or broken, "rfft" computes everything, after one warning.

"auto" does not choose this backend: on the one GPU it was measured on, "rfft" is faster in float32
(benchmarks/results/speed_cuda.json). In bfloat16 it has not been measured.
"""

import os
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ..checks import opposite
from ..precision import tf32_allowed
from . import rfft
from .two_factors import factors, kernel_from_spectrum, spectrum, tables, transform_flops

FUSED = True
BUILDS_MATRIX = False
MOST_BLOCKS = 16
# Programs that share the tokens of one block's gradient.
SPLITS = 128
_failures: list[str] = []


def is_available(device: torch.device) -> bool:
    """Return True for a GPU; for a CPU only in Triton's interpreter (``TRITON_INTERPRET=1``), which is for tests."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def _tile_size(n: int) -> int:
    """Return the next power of two, and at least 16: a matrix product of Triton needs tiles of that size."""
    return max(16, 1 << (n - 1).bit_length())


def _kernel_spectrum(w: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    w_hat = spectrum(w, layout)
    return w_hat.real.contiguous(), w_hat.imag.contiguous()


def _precision(dtype: torch.dtype) -> str:
    """Return Triton's name for the precision of products: one TF32 product, or three where one is not exact enough."""
    exact = dtype != torch.bfloat16 and not tf32_allowed()
    return "tf32x3" if exact else "tf32"


def _has_kernel(x: Tensor, w: Tensor) -> bool:
    """Return whether the Triton kernels are made for these operands, and have not failed before."""
    (m, n, b), works = w.shape, not _failures
    return works and len(x) > 0 and w.dtype == torch.float32 and m * n <= MOST_BLOCKS and factors(b) is not None


def _launch(kernel: str, grid: tuple[int, ...], *arguments: Any, **options: Any) -> bool:
    """Run a kernel and return True; warn once and return False if Triton fails."""
    try:
        getattr(import_module("circpeft.ops.backends.triton_kernels"), kernel)[grid](*arguments, **options)
    except Exception as problem:  # an installation or a compiler may fail in any way
        _failures.append(f"{type(problem).__name__}: {problem}")
        warnings.warn(
            f"Triton failed ({_failures[0]}). From now on, backend 'triton' computes with 'rfft'.", stacklevel=2
        )
        return False
    return True


def _unit_stride(t: Tensor | None, substitute: Tensor) -> Tensor:
    """Return a matrix with rows of stride one; for None the substitute, which the kernel does not read."""
    if t is None:
        return substitute
    return t if t.stride(-1) == 1 else t.contiguous()


def _sizes(b: int) -> dict[str, int]:
    n1, n2 = factors(b)
    return {"b": b, "n1": n1, "n2": n2, "p1": _tile_size(n1), "p2": _tile_size(n2)}


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
    """Write ``base + scale * diagonal_out * C(w) (diagonal_in * x)`` into ``y``, in one kernel; shapes as in `rfft`."""
    w = rfft.scaled(w, scale)
    if _has_kernel(x, w):
        (m, n, b), x_rows, under = w.shape, _unit_stride(x, x), _unit_stride(base, y)
        if _launch(
            "product", (-(-len(x) // 2), m),
            x_rows, y, under, *(_unit_stride(d, w) for d in (diagonal_in, diagonal_out)), *_kernel_spectrum(w, layout),
            *tables(b, torch.float32, x.device), tokens=len(x), x_stride=x_rows.stride(0), y_stride=y.stride(0),
            base_stride=under.stride(0), d_in=x.shape[1], d_out=y.shape[1], n=n, **_sizes(b),
            has_in=diagonal_in is not None, has_out=diagonal_out is not None, has_base=base is not None,
            precision=_precision(x.dtype),
        ):  # fmt: skip
            return
    rfft.diagonal_matmul(x, w, layout, diagonal_in, diagonal_out, base, y, 1.0)


def diagonal_matmul_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    dx: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of `diagonal_matmul` as `rfft` does: one kernel for x, one for everything else."""
    kernel = rfft.scaled(w, scale)
    gradients = _parameter_gradients(g, x, kernel, layout, diagonal_in, diagonal_out) if _has_kernel(x, w) else None
    if gradients is None:
        return rfft.diagonal_matmul_backward(g, x, w, layout, diagonal_in, diagonal_out, dx, scale)
    if dx is not None:
        diagonal_matmul(g, kernel.transpose(0, 1), opposite(layout), diagonal_out, diagonal_in, None, dx, 1.0)
    return rfft.scaled(gradients[0], scale), *gradients[1:]


def _parameter_gradients(
    g: Tensor, x: Tensor, w: Tensor, layout: str, diagonal_in: Tensor | None, diagonal_out: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
    """Return the gradients for ``w`` and the diagonals; None if Triton fails."""
    (m, n, b), (n1, n2) = w.shape, factors(w.shape[-1])
    splits = min(SPLITS, -(-len(x) // 2))
    sums = [w.new_empty(splits, m, n, n1, n2) for _ in range(4)]
    g_rows, x_rows = _unit_stride(g, g), _unit_stride(x, x)
    if g_rows.stride(0) == 0:  # an expanded gradient, such as that of sum()
        g_rows = g_rows.contiguous()
    if not _launch(
        "gradients", (splits, m * n),
        g_rows, x_rows, *(_unit_stride(d, w) for d in (diagonal_in, diagonal_out)), *_kernel_spectrum(w, layout),
        *tables(b, torch.float32, x.device), *sums, tokens=len(x), g_stride=g_rows.stride(0), x_stride=x_rows.stride(0),
        d_in=x.shape[1], d_out=g.shape[1], m=m, n=n, **_sizes(b),
        has_in=diagonal_in is not None, has_out=diagonal_out is not None, precision=_precision(x.dtype),
    ):  # fmt: skip
        return None
    dw = kernel_from_spectrum(torch.complex(sums[0].sum(0), sums[1].sum(0)), layout)
    d_in = None if diagonal_in is None else sums[2].sum((0, 1)).reshape(n * b)[: len(diagonal_in)]
    d_out = None if diagonal_out is None else sums[3].sum((0, 2)).reshape(m * b)[: len(diagonal_out)]
    return dw, d_in, d_out


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return the product without diagonals: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``."""
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y, 1.0)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Return the gradient for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``."""
    like = x.new_zeros(g.shape[-1] // b, x.shape[-1] // b, b)
    gradients = _parameter_gradients(g, x, like, layout, None, None) if _has_kernel(x, like) else None
    return rfft.kernel_grad(g, x, b, layout) if gradients is None else gradients[0]


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `matmul`: two tokens per transform, and each row of blocks transforms x again."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.matmul_flops(t, m, n, b)
    pairs = -(-t // 2)
    return transform_flops(pairs * m * (n + 1), b) + 8 * pairs * m * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """Return the FLOPs of `kernel_grad`: two transforms per pair of tokens and block, and the sum of their products."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.kernel_grad_flops(t, m, n, b)
    pairs = -(-t // 2)
    return transform_flops(2 * pairs * m * n, b) + 8 * pairs * m * n * b


def diagonal_backward_flops(t: int, m: int, n: int, b: int, with_dx: bool = True, with_output: bool = False) -> int:
    """Return the FLOPs of `diagonal_matmul_backward`, counted as in `rfft`, for both kernels."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.diagonal_backward_flops(t, m, n, b, with_dx, with_output)
    output = (transform_flops(1, b) + 8 * b) * -(-t // 2) * m * n * with_output
    return kernel_grad_flops(t, m, n, b) + matmul_flops(t, n, m, b) * with_dx + output
