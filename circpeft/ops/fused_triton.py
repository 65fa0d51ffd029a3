"""Backend "triton": few large blocks on a GPU in one kernel, diagonals, scale and the base output's sum included.

Takes what its kernels are made for (float32 or less, up to `MOST_BLOCKS` blocks whose size has two factors as
`two_factors` wants them) and leaves everything else to "rfft", as it does, with one warning, where Triton is missing or
broken.
"auto" does not take it: on the one GPU that it was measured on, in float32, "rfft" is faster
(benchmarks/results/speed_cuda.json); in bfloat16 it has not been measured.
"""

import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from . import rfft
from .dispatch import tf32_allowed
from .two_factors import factors, kernel_of, spectrum, tables, transform_flops

MOST_BLOCKS = 16
# Programs that share the tokens of one block's gradient.
SPLITS = 128
_broken: list[str] = []


def _padded(n: int) -> int:
    return max(16, 1 << (n - 1).bit_length())  # the least tile that a matrix product takes


def _parts(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    return spectrum.real.contiguous(), spectrum.imag.contiguous()


def _precision(dtype: torch.dtype) -> str:
    exact = dtype != torch.bfloat16 and not tf32_allowed()
    return "tf32x3" if exact else "tf32"


def _takes(x: Tensor, w: Tensor) -> bool:
    m, n, b = w.shape
    return not _broken and len(x) > 0 and w.dtype == torch.float32 and m * n <= MOST_BLOCKS and factors(b) is not None


def _launch(kernel: str, grid: tuple[int, ...], *arguments: Any, **options: Any) -> bool:
    """Run a kernel; False, with one warning, where Triton cannot."""
    try:
        getattr(import_module("circpeft.ops.triton_kernels"), kernel)[grid](*arguments, **options)
    except Exception as problem:  # an installation or a compiler may fail in any way
        _broken.append(f"{type(problem).__name__}: {problem}")
        warnings.warn(f"Triton failed, so backend 'triton' computes by 'rfft' from now on: {_broken[0]}", stacklevel=2)
        return False
    return True


def _rows(t: Tensor | None, like: Tensor) -> Tensor:
    """A matrix whose rows lie without gaps; something of the right type where there is none."""
    if t is None:
        return like
    return t if t.stride(-1) == 1 else t.contiguous()


def _sizes(b: int) -> dict[str, int]:
    n1, n2 = factors(b)
    return {"b": b, "n1": n1, "n2": n2, "p1": _padded(n1), "p2": _padded(n2)}


def diagonal_matmul(
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    base: Tensor | None,
    y: Tensor,
) -> None:
    """``y = base + diagonal_out * C(w) (diagonal_in * x)`` as `rfft.diagonal_matmul` has it, in one kernel."""
    if _takes(x, w):
        (m, n, b), x_rows, under = w.shape, _rows(x, x), _rows(base, y)
        if _launch(
            "product", (-(-len(x) // 2), m),
            x_rows, y, under, *(_rows(d, w) for d in (diagonal_in, diagonal_out)), *_parts(spectrum(w, layout)),
            *tables(b, torch.float32, x.device), tokens=len(x), x_stride=x_rows.stride(0), y_stride=y.stride(0),
            base_stride=under.stride(0), d_in=x.shape[1], d_out=y.shape[1], n=n, **_sizes(b),
            has_in=diagonal_in is not None, has_out=diagonal_out is not None, has_base=base is not None,
            precision=_precision(x.dtype),
        ):  # fmt: skip
            return
    rfft.diagonal_matmul(x, w, layout, diagonal_in, diagonal_out, base, y)


def diagonal_matmul_backward(
    g: Tensor,
    x: Tensor,
    w: Tensor,
    layout: str,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    dx: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients as `rfft.diagonal_matmul_backward` has them: one kernel for x, one for everything else."""
    found = _parameter_gradients(g, x, w, layout, diagonal_in, diagonal_out) if _takes(x, w) else None
    if found is None:
        return rfft.diagonal_matmul_backward(g, x, w, layout, diagonal_in, diagonal_out, dx)
    if dx is not None:
        back = "row" if layout == "column" else "column"
        diagonal_matmul(g, w.transpose(0, 1), back, diagonal_out, diagonal_in, None, dx)
    return found


def _parameter_gradients(
    g: Tensor, x: Tensor, w: Tensor, layout: str, diagonal_in: Tensor | None, diagonal_out: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
    (m, n, b), (n1, n2) = w.shape, factors(w.shape[-1])
    splits = min(SPLITS, -(-len(x) // 2))
    sums = [w.new_empty(splits, m, n, n1, n2) for _ in range(4)]
    g_rows, x_rows = _rows(g, g), _rows(x, x)
    if g_rows.stride(0) == 0:  # expanded
        g_rows = g_rows.contiguous()
    if not _launch(
        "gradients", (splits, m * n),
        g_rows, x_rows, *(_rows(d, w) for d in (diagonal_in, diagonal_out)), *_parts(spectrum(w, layout)),
        *tables(b, torch.float32, x.device), *sums, tokens=len(x), g_stride=g_rows.stride(0), x_stride=x_rows.stride(0),
        d_in=x.shape[1], d_out=g.shape[1], m=m, n=n, **_sizes(b),
        has_in=diagonal_in is not None, has_out=diagonal_out is not None, precision=_precision(x.dtype),
    ):  # fmt: skip
        return None
    dw = kernel_of(torch.complex(sums[0].sum(0), sums[1].sum(0)), layout)
    d_in = None if diagonal_in is None else sums[2].sum((0, 1)).reshape(n * b)[: len(diagonal_in)]
    d_out = None if diagonal_out is None else sums[3].sum((0, 2)).reshape(m * b)[: len(diagonal_out)]
    return dw, d_in, d_out


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """The product alone: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``."""
    y = x.new_empty(len(x), w.shape[0] * w.shape[2])
    diagonal_matmul(x, w, layout, None, None, None, y)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
    """Gradient for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``."""
    like = x.new_zeros(g.shape[-1] // b, x.shape[-1] // b, b)
    found = _parameter_gradients(g, x, like, layout, None, None) if _takes(x, like) else None
    return rfft.kernel_grad(g, x, b, layout) if found is None else found[0]


def matmul_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``matmul``, two tokens a transform; each row of blocks transforms x anew."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.matmul_flops(t, m, n, b)
    pairs = -(-t // 2)
    return transform_flops(pairs * m * (n + 1), b) + 8 * pairs * m * n * b


def kernel_grad_flops(t: int, m: int, n: int, b: int) -> int:
    """FLOPs of ``kernel_grad``: two transforms a pair of tokens and block, and their product summed."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.kernel_grad_flops(t, m, n, b)
    pairs = -(-t // 2)
    return transform_flops(2 * pairs * m * n, b) + 8 * pairs * m * n * b


def backward_flops(t: int, m: int, n: int, b: int, dx: bool = True, again: bool = False) -> int:
    """FLOPs of ``diagonal_matmul_backward`` without its diagonals: as for ``rfft``, in both kernels."""
    if m * n > MOST_BLOCKS or factors(b) is None:
        return rfft.backward_flops(t, m, n, b, dx, again)
    once_more = (transform_flops(1, b) + 8 * b) * -(-t // 2) * m * n * again
    return kernel_grad_flops(t, m, n, b) + matmul_flops(t, n, m, b) * dx + once_more
