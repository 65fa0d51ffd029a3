"""Exact parameters and FLOPs of C3A and CDVFT, whose product a backend of this package computes (`costs.exact`)."""

from __future__ import annotations

from math import ceil

from ..ops.backends import get_backend, get_fused_backend
from . import dense
from .hyperparameters import H


def circulant_grids(d_in: int, d_out: int, h: H) -> list[tuple[int, int, int]]:
    """Return ``(m, n, b)`` of each circulant factor of CDVFT: the first is rectangular, all others are square."""
    b, m, n = h["block_size"], ceil(d_out / h["block_size"]), ceil(d_in / h["block_size"])
    return [(m, n if j == 0 else m, b) for j in range(h["num_factors"] // 2)]


def cdvft_parameters(d_in: int, d_out: int, h: H) -> int:
    """Return the entries of all factors of CDVFT."""
    return d_in + h["num_factors"] // 2 * d_out + sum(m * n * b for m, n, b in circulant_grids(d_in, d_out, h))


def _product(h: H, t: int, m: int, n: int, b: int) -> int:
    return get_backend(h["backend"]).matmul_flops(t, m, n, b)


def _kernel_grad(h: H, t: int, m: int, n: int, b: int) -> int:
    return get_backend(h["backend"]).kernel_grad_flops(t, m, n, b)


def scaled_entries(method: str, d_in: int, d_out: int, h: H) -> int:
    """Return the number of trained entries that the scale of ``ΔW`` multiplies: none of them if the scale is 1."""
    if h["alpha"] == (d_in if method == "c3a" else 1):
        return 0
    grids = [(d_out // h["block_size"], d_in // h["block_size"], h["block_size"])]
    if method == "cdvft":
        grids = circulant_grids(d_in, d_out, h) or [(1, 1, d_in)]  # a single diagonal has no circulant
    m, n, b = grids[-1]
    return m * n * b


def c3a_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    """Return the FLOPs that C3A adds to the forward pass of ``t`` tokens."""
    m, n, b = d_out // h["block_size"], d_in // h["block_size"], h["block_size"]
    if dense.builds_matrix(h):
        return dense.forward(t, d_in, d_out, 0)
    return scaled_entries("c3a", d_in, d_out, h) + _product(h, t, m, n, b) + t * d_out


def cdvft_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    """Return the FLOPs that CDVFT adds to the forward pass of ``t`` tokens."""
    grids = circulant_grids(d_in, d_out, h)
    if grids and dense.builds_matrix(h):
        return sum(dense.forward(t, *factor) for factor in _dense_factors(d_in, d_out, h))
    products = sum(_product(h, t, *grid) + t * d_out for grid in grids)
    return scaled_entries("cdvft", d_in, d_out, h) + t * d_in + products + t * d_out


def _dense_factors(d_in: int, d_out: int, h: H) -> list[tuple[int, int, int]]:
    """Return the inputs, outputs and diagonals of each circulant factor of CDVFT."""
    return [(d_out if j else d_in, d_out, 1 if j else 2) for j in range(h["num_factors"] // 2)]


def _circulant_backward(h: H, t: int, grid: tuple[int, int, int], d_in: int, d_out: int) -> int:
    """Count one circulant factor between diagonals of sizes ``d_in`` and ``d_out``; a size of 0 means no diagonal."""
    m, n, b = grid
    fused = get_fused_backend(h["backend"])
    if fused is not None:
        circulant = fused.diagonal_backward_flops(t, m, n, b, with_output=bool(d_out))
        return circulant + (4 * t + 1) * d_in + (3 * t + 1) * d_out
    return _product(h, t, n, m, b) + _kernel_grad(h, t, m, n, b) + 3 * t * (d_in + d_out)


def _scaling_backward(method: str, d_in: int, d_out: int, h: H) -> int:
    """Count the scale in the backward pass: a fused backend scales kernel and gradient, autograd only the gradient."""
    scalings = 1 if get_fused_backend(h["backend"]) is None else 2
    return scalings * scaled_entries(method, d_in, d_out, h)


def c3a_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    """Return the FLOPs that C3A adds to the backward pass of ``t`` tokens."""
    m, n, b = d_out // h["block_size"], d_in // h["block_size"], h["block_size"]
    if dense.builds_matrix(h):
        return dense.backward(t, d_in, d_out, 0) + scaled_entries("c3a", d_in, d_out, h) + t * d_in
    return _circulant_backward(h, t, (m, n, b), 0, 0) + _scaling_backward("c3a", d_in, d_out, h) + t * d_in


def cdvft_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    """Return the FLOPs that CDVFT adds to the backward pass of ``t`` tokens."""
    grids = circulant_grids(d_in, d_out, h)
    if not grids:
        return 4 * t * d_in + scaled_entries("cdvft", d_in, d_out, h)
    if dense.builds_matrix(h):
        products = sum(dense.backward(t, *factor) for factor in _dense_factors(d_in, d_out, h))
        return products + 2 * scaled_entries("cdvft", d_in, d_out, h) + t * d_in
    scaling = _scaling_backward("cdvft", d_in, d_out, h)
    return (
        scaling
        + t * d_in
        + sum(_circulant_backward(h, t, grid, 0 if j else d_in, d_out) for j, grid in enumerate(grids))
    )


def cdvft_merge(d_in: int, d_out: int, h: H) -> int:
    """Return the FLOPs of forming ``ΔW`` from the factors, and of adding it to the weight."""
    circulants = len(circulant_grids(d_in, d_out, h))
    if not circulants:
        return 2 * d_in * d_out  # scale the diagonal matrix, and add it
    products = (circulants - 1) * 2 * d_out * d_out * d_in  # each circulant after the first multiplies a dense matrix
    return products + (circulants + 1) * d_in * d_out + 2 * d_in * d_out  # the diagonals, then alpha and the sum
