"""``ΔW`` and the gradients that follow from its gradient by Triton kernels: grids and tiles (`delta_kernels`)."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

from .operands import without_gaps
from .transforms import is_plain
from .triton_launch import KernelFailed, Kernels

KERNELS = Kernels("circpeft.ops.delta_kernels", "ΔW")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Numbers and columns of a tile: a warp writes a row of half precision, 16 bytes per thread.
TILE, COLUMNS = 4096, 256
# Programs that sum up a gradient, where there are few blocks; each adds up at least so many rows. A large gradient is
# read WIDTH numbers at a time, which takes as many programs per block. A small one with small blocks comes from a
# cache, where this matters less than the sum of their results.
PROGRAMS, LEAST_ROWS, WIDTH = 2048, 16, 4
SMALL_GRADIENT, SMALL_BLOCK = 2**20, 128
# From this many numbers on, offsets would need 64 bits, and more registers.
LARGE = 2**31
Result = TypeVar("Result")


def have_kernels(first: Tensor, *others: Tensor | None) -> bool:
    """Return whether the kernels are made for these tensors: plain ones in float32 or less, on a device with Triton."""
    if not KERNELS.are_usable(first.device):
        return False
    given = [t for t in (first, *others) if t is not None]
    return all(is_plain(t) and t.dtype in DTYPES and 0 < t.numel() < LARGE for t in given)


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _tile(columns: int, numbers: int) -> dict[str, int]:
    width = min(COLUMNS, max(16, _power_of_two(columns)))
    return {"BR": numbers // width, "BC": width}


def _tiles(d_out: int, d_in: int, sizes: dict[str, int]) -> tuple[int, int]:
    return -(-d_out // sizes["BR"]), -(-d_in // sizes["BC"])


def _or_none(compute: Callable[..., Result]) -> Callable[..., Result | None]:
    """Wrap ``compute`` so that a kernel that fails is given up, with a warning, and None is returned."""

    @wraps(compute)
    def computed(*arguments: Any) -> Result | None:
        try:
            return compute(*arguments)
        except KernelFailed as problem:
            KERNELS.give_up(problem)
            return None

    return computed


@_or_none
def matrix(
    w: Tensor,
    layout: str,
    scale: float,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
    d_out: int,
    d_in: int,
    weight: Tensor | None,
    dtype: torch.dtype,
) -> Tensor | None:
    """Return ``weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)``: ``(d_out, d_in)``, in one launch.

    Every step is rounded to float32 in this order: diagonal_in, diagonal_out, scale, weight. None if the kernel fails.
    """
    _, n, b = w.shape
    out = torch.empty(d_out, d_in, dtype=dtype, device=w.device)
    under = out if weight is None else without_gaps(weight)
    sizes = _tile(d_in, TILE)
    KERNELS.launch(
        "fill", _tiles(d_out, d_in, sizes),
        out, w.contiguous(), under, *_given(w, diagonal_in, diagonal_out), float(scale),
        d_out=d_out, d_in=d_in, n=n, b=b, weight_stride=under.stride(0), row=layout == "row", **sizes,
        has_weight=weight is not None, has_in=diagonal_in is not None, has_out=diagonal_out is not None,
        num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
    return out


def _given(other: Tensor, *diagonals: Tensor | None) -> list[Tensor]:
    """Return diagonals without gaps; a tensor that is not read takes the place of None."""
    return [other if d is None else d.contiguous() for d in diagonals]


def shares(m: int, n: int, b: int, chunks: int) -> int:
    """Return how many programs sum up each diagonal of a block."""
    small = m * n * b * b <= SMALL_GRADIENT and b <= SMALL_BLOCK
    count = 1 if small else max(1, min(PROGRAMS // (m * chunks), b // LEAST_ROWS))
    if b % WIDTH == 0 and not small:
        count = -(-count // WIDTH) * WIDTH
    return min(b, count)


@_or_none
def kernel_gradient(
    gradient: Tensor,
    m: int,
    n: int,
    b: int,
    layout: str,
    scale: float,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
) -> Tensor | None:
    """Return the kernel's gradient in float32: one launch, and one more where several programs share a sum.

    None if the kernel fails.
    """
    gradient = without_gaps(gradient)
    (d_out, d_in), sizes = gradient.shape, _tile(n * b, TILE // 2)
    chunks = -(-n * b // sizes["BC"])
    count = shares(m, n, b, chunks)
    sizes["BR"] = min(sizes["BR"], _power_of_two(-(-b // count)))
    dw = torch.empty(count, m, n, b, dtype=torch.float32, device=gradient.device)
    width = WIDTH if b % WIDTH == 0 and count % WIDTH == 0 else 1
    KERNELS.launch(
        "kernel_gradient", (m, chunks, count), gradient, dw, *_given(gradient, diagonal_in, diagonal_out), float(scale),
        d_out=d_out, d_in=d_in, m=m, n=n, b=b, stride=gradient.stride(0), row=layout == "row", **sizes,
        shares=count, width=width, has_in=diagonal_in is not None, has_out=diagonal_out is not None, num_warps=4,
    )  # fmt: skip
    return dw[0] if count == 1 else dw.sum(0)


@_or_none
def diagonal_gradients(
    gradient: Tensor,
    w: Tensor,
    layout: str,
    scale: float,
    diagonal_in: Tensor | None,
    diagonal_out: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of both diagonals in float32: one launch for both, and one sum for each.

    None if the kernel fails.
    """
    gradient = without_gaps(gradient)
    (d_out, d_in), (_, n, b), sizes = gradient.shape, w.shape, _tile(gradient.shape[1], TILE // 2)
    rows, columns = _tiles(d_out, d_in, sizes)
    options: dict[str, Any] = {"dtype": torch.float32, "device": w.device}
    of_in = None if diagonal_in is None else torch.empty(rows, d_in, **options)
    of_out = None if diagonal_out is None else torch.empty(columns, d_out, **options)
    KERNELS.launch(
        "diagonal_gradients", (rows, columns),
        gradient, w.contiguous(), *_given(w, of_in, of_out, diagonal_in, diagonal_out), float(scale),
        d_out=d_out, d_in=d_in, n=n, b=b, stride=gradient.stride(0), row=layout == "row", **sizes,
        has_in=diagonal_in is not None, has_out=diagonal_out is not None, num_warps=4,
    )  # fmt: skip
    totals = [None if sums is None else sums[0] if len(sums) == 1 else sums.sum(0) for sums in (of_in, of_out)]
    return totals[0], totals[1]
