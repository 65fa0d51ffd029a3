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
from math import log2

from . import circulant
from .hyperparameters import H

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
    "cdvft": circulant.cdvft_parameters,
}


def parameters_of(method: str) -> Callable[[int, int, H], int]:
    """Return the function of ``(d_in, d_out, h)`` that counts a method's trainable parameters on one layer."""
    return _PARAMETERS[method]


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
    "c3a": circulant.c3a_forward,
    "cdvft": circulant.cdvft_forward,
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
    rotation += (f - 1) * f * d_in**2  # the sum of the factors' gradients, each of them in a tensor for all factors
    return rotation + d_out + 4 * t * d_in**2 + 3 * t * d_out


def _lamda_backward(t: int, d_in: int, d_out: int, h: H) -> int:
    r, gradient_of_b = h["r"], 0 if h["frozen"] else 2 * t * h["r"] * d_out
    return gradient_of_b + 2 * t * r * d_out + 4 * t * r * r + 2 * t * r * d_in + t * d_in


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
    "c3a": circulant.c3a_backward,
    "cdvft": circulant.cdvft_backward,
}


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
    "cdvft": circulant.cdvft_merge,
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
