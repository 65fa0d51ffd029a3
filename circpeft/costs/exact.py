"""Exact parameters and FLOPs that a method adds to a frozen layer ``d_in -> d_out``, as the layer computes them.

A multiply and an add are one FLOP each, a complex product six. A complex transform of n numbers is ``5 n log2 n``
FLOPs, a real one half of it.

Every count is linear in the tokens ``t``; a term without ``t`` is computed once per step. C3A and CDVFT are counted as
in this package. LoRA, DoRA, VeRA, FourierFT, BOFT and (IA)³ are counted operation by operation in PEFT's modules, and
LaMDA as ``B S A x`` in its paper. The backward pass includes the gradient of the layer's input and its sum with that of
the frozen layer. ``h`` are the resolved hyperparameters (`costs.hyperparameters.resolve`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2

from ..ops.backends import get_backend, get_fused_backend
from . import dense
from .hyperparameters import H


def circulant_grids(d_in: int, d_out: int, h: H) -> list[tuple[int, int, int]]:
    """Return ``(m, n, b)`` of each circulant factor of CDVFT: the first is rectangular, all others are square."""
    b, m, n = h["block_size"], ceil(d_out / h["block_size"]), ceil(d_in / h["block_size"])
    return [(m, n if j == 0 else m, b) for j in range(h["num_factors"] // 2)]


def _cdvft_parameters(d_in: int, d_out: int, h: H) -> int:
    return d_in + h["num_factors"] // 2 * d_out + sum(m * n * b for m, n, b in circulant_grids(d_in, d_out, h))


_PARAMETERS: dict[str, Callable[[int, int, H], int]] = {
    "full": lambda d_in, d_out, h: d_in * d_out + d_out * h["bias"],
    "head": lambda d_in, d_out, h: 0,
    "bitfit": lambda d_in, d_out, h: d_out,
    "ia3": lambda d_in, d_out, h: d_in if h["feedforward"] else d_out,
    "lora": lambda d_in, d_out, h: h["r"] * (d_in + d_out),
    "dora": lambda d_in, d_out, h: h["r"] * (d_in + d_out) + d_out,
    "vera": lambda d_in, d_out, h: h["r"] + d_out,
    "fourierft": lambda d_in, d_out, h: h["n_frequency"],
    "boft": lambda d_in, d_out, h: h["n_butterfly_factor"] * d_in * h["block_size"] + d_out,
    "lamda": lambda d_in, d_out, h: h["r"] ** 2 + (0 if h["frozen"] else h["r"] * d_out),
    "c3a": lambda d_in, d_out, h: d_in * d_out // h["block_size"],
    "cdvft": _cdvft_parameters,
}


def parameters_of(method: str) -> Callable[[int, int, H], int]:
    """Return the function of ``(d_in, d_out, h)`` that counts a method's trainable parameters on one layer."""
    return _PARAMETERS[method]


def _product(h: H, t: int, m: int, n: int, b: int) -> int:
    return get_backend(h["backend"]).matmul_flops(t, m, n, b)


def _kernel_grad(h: H, t: int, m: int, n: int, b: int) -> int:
    return get_backend(h["backend"]).kernel_grad_flops(t, m, n, b)


def _fft2(d_in: int, d_out: int) -> float:
    return 5 * d_in * d_out * log2(d_in * d_out)


def _boft_rotation(d: int, h: H) -> float:
    """Cayley transforms of the blocks, and products of d x d matrices, because PEFT's permutations are dense."""
    f, b = h["n_butterfly_factor"], h["block_size"]
    return f * (4 * d * b + (2 / 3 + 2) * d * b**2) + (2 * f + f - 1 + 1) * 2 * d**3


def _lora_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    return 2 * t * h["r"] * (d_in + d_out) + 2 * t * d_out


def _dora_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    """LoRA's products twice: for the tokens, and for an identity matrix, to get the weight and its norm."""
    norm = 2 * d_in * h["r"] * (d_in + d_out) + 2 * d_in * d_out + 2 * d_out
    return norm + 2 * t * h["r"] * (d_in + d_out) + 5 * t * d_out


def _vera_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    return 2 * t * h["r"] * (d_in + d_out) + t * h["r"] + 2 * t * d_out


def _fourierft_forward(t: int, d_in: int, d_out: int, h: H) -> float:
    return _fft2(d_in, d_out) + d_in * d_out + 2 * t * d_in * d_out + t * d_out


def _boft_forward(t: int, d_in: int, d_out: int, h: H) -> float:
    return _boft_rotation(d_in, h) + d_out + 2 * t * d_in**2 + t * d_out


def _lamda_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    return 2 * t * h["r"] * (d_in + h["r"] + d_out) + t * d_out


def scaled_entries(method: str, d_in: int, d_out: int, h: H) -> int:
    """Return the number of trained entries that the scale of ``ΔW`` multiplies: none of them if the scale is 1."""
    if h["alpha"] == (d_in if method == "c3a" else 1):
        return 0
    grids = [(d_out // h["block_size"], d_in // h["block_size"], h["block_size"])]
    if method == "cdvft":
        grids = circulant_grids(d_in, d_out, h) or [(1, 1, d_in)]  # a single diagonal has no circulant
    m, n, b = grids[-1]
    return m * n * b


def _c3a_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    m, n, b = d_out // h["block_size"], d_in // h["block_size"], h["block_size"]
    if dense.builds_matrix(h):
        return dense.forward(t, d_in, d_out, 0)
    return scaled_entries("c3a", d_in, d_out, h) + _product(h, t, m, n, b) + t * d_out


def _cdvft_forward(t: int, d_in: int, d_out: int, h: H) -> int:
    if h["num_factors"] > 1 and dense.builds_matrix(h):
        return sum(dense.forward(t, *factor) for factor in _dense_factors(d_in, d_out, h))
    products = sum(_product(h, t, *grid) + t * d_out for grid in circulant_grids(d_in, d_out, h))
    return scaled_entries("cdvft", d_in, d_out, h) + t * d_in + products + t * d_out


def _dense_factors(d_in: int, d_out: int, h: H) -> list[tuple[int, int, int]]:
    """Return the inputs, outputs and diagonals of each circulant factor of CDVFT."""
    return [(d_out if j else d_in, d_out, 1 if j else 2) for j in range(h["num_factors"] // 2)]


_FORWARD: dict[str, Callable[[int, int, int, H], float]] = {
    "full": lambda t, d_in, d_out, h: 0,
    "head": lambda t, d_in, d_out, h: 0,
    "bitfit": lambda t, d_in, d_out, h: 0,
    "ia3": lambda t, d_in, d_out, h: (t + 1) * (d_in if h["feedforward"] else d_out),
    "lora": _lora_forward,
    "dora": _dora_forward,
    "vera": _vera_forward,
    "fourierft": _fourierft_forward,
    "boft": _boft_forward,
    "lamda": _lamda_forward,
    "c3a": _c3a_forward,
    "cdvft": _cdvft_forward,
}


def _lora_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    return 4 * t * h["r"] * (d_in + d_out) + t * (d_out + d_in)


def _vera_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    return 2 * t * h["r"] * (d_in + d_out) + 3 * t * (d_out + h["r"]) + t * d_in


def _fourierft_backward(t: int, d_in: int, d_out: int, h: H) -> float:
    return _fft2(d_in, d_out) + d_in * d_out + 4 * t * d_in * d_out + t * d_in


def _boft_backward(t: int, d_in: int, d_out: int, h: H) -> float:
    f, b = h["n_butterfly_factor"], h["block_size"]
    rotation = (2 * f + 2 * (f - 1) + 1) * 2 * d_in**3 + f * (3 * d_in * b + 4 * d_in * b**2)
    return rotation + d_out + 4 * t * d_in**2 + 3 * t * d_out


def _lamda_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    r, gradient_of_b = h["r"], 0 if h["frozen"] else 2 * t * h["r"] * d_out
    return gradient_of_b + 2 * t * r * d_out + 4 * t * r * r + 2 * t * r * d_in + t * d_in


def _circulant_backward(h: H, t: int, grid: tuple[int, int, int], d_in: int, d_out: int) -> int:
    """One circulant factor between diagonals of sizes ``d_in`` and ``d_out``; a size of 0 means no diagonal."""
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


def _c3a_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    m, n, b = d_out // h["block_size"], d_in // h["block_size"], h["block_size"]
    if dense.builds_matrix(h):
        return dense.backward(t, d_in, d_out, 0) + scaled_entries("c3a", d_in, d_out, h) + t * d_in
    return _circulant_backward(h, t, (m, n, b), 0, 0) + _scaling_backward("c3a", d_in, d_out, h) + t * d_in


def _cdvft_backward(t: int, d_in: int, d_out: int, h: H) -> int:
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


_BACKWARD: dict[str, Callable[[int, int, int, H], float]] = {
    "full": lambda t, d_in, d_out, h: 2 * t * d_in * d_out + t * d_out * h["bias"],
    "head": lambda t, d_in, d_out, h: 0,
    "bitfit": lambda t, d_in, d_out, h: t * d_out,
    "ia3": lambda t, d_in, d_out, h: (3 * t + 1) * (d_in if h["feedforward"] else d_out),
    "lora": _lora_backward,
    "dora": lambda t, d_in, d_out, h: 4 * t * h["r"] * (d_in + d_out) + t * d_in + (8 * t + 2) * d_out,
    "vera": _vera_backward,
    "fourierft": _fourierft_backward,
    "boft": _boft_backward,
    "lamda": _lamda_backward,
    "c3a": _c3a_backward,
    "cdvft": _cdvft_backward,
}


def _cdvft_merge(d_in: int, d_out: int, h: H) -> int:
    circulants = len(circulant_grids(d_in, d_out, h))
    if not circulants:
        return d_in + d_in * d_out  # scale the diagonal, and add it
    dense = (circulants - 1) * 2 * d_out * d_out * d_in  # each circulant after the first multiplies a dense matrix
    return dense + (circulants + 1) * d_in * d_out + 2 * d_in * d_out  # the diagonals, then alpha and the sum


_MERGE: dict[str, Callable[[int, int, H], float]] = {
    "full": lambda d_in, d_out, h: 0,
    "head": lambda d_in, d_out, h: 0,
    "bitfit": lambda d_in, d_out, h: 0,
    "ia3": lambda d_in, d_out, h: d_in * d_out,
    "lora": lambda d_in, d_out, h: (2 * h["r"] + 2) * d_in * d_out,
    "dora": lambda d_in, d_out, h: (2 * h["r"] + 5) * d_in * d_out + d_out,
    "vera": lambda d_in, d_out, h: h["r"] * (d_in + d_out) + (2 * h["r"] + 1) * d_in * d_out,
    "fourierft": lambda d_in, d_out, h: _fft2(d_in, d_out) + 2 * d_in * d_out,
    "boft": lambda d_in, d_out, h: _boft_rotation(d_in, h) - 2 * d_in**3 + 2 * d_in**2 * d_out + d_in * d_out,
    "lamda": lambda d_in, d_out, h: 2 * h["r"] ** 2 * d_in + (2 * h["r"] + 1) * d_in * d_out,
    "c3a": lambda d_in, d_out, h: d_in * d_out // h["block_size"] + d_in * d_out,
    "cdvft": _cdvft_merge,
}


def forward(method: str, t: int, d_in: int, d_out: int, h: H) -> float:
    """Return the FLOPs that the method adds to the forward pass of ``t`` tokens."""
    return _FORWARD[method](t, d_in, d_out, h)


def backward(method: str, t: int, d_in: int, d_out: int, h: H) -> float:
    """Return the FLOPs that the method adds to the backward pass of ``t`` tokens."""
    return _BACKWARD[method](t, d_in, d_out, h)


def merge(method: str, d_in: int, d_out: int, h: H) -> float:
    """Return the FLOPs of forming ``ΔW`` and adding it to the weight, or of multiplying the weight by it."""
    return _MERGE[method](d_in, d_out, h)
