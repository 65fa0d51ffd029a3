"""The papers' own counts, which reproduce their figures: per layer and, for FLOPs, per token.

In LoRA's products a multiply-add counts as one FLOP. A transform counts ``5 n log2 n`` real operations, and a complex
product counts as one. The formulas are for layers ``d_in -> d_out``; the papers mostly print them for square layers
(d). ``h`` are the resolved hyperparameters (`costs.hyperparameters.resolve`).
"""

from __future__ import annotations

from math import ceil, log2

from . import exact
from .hyperparameters import H


def _parameters_vera(d_in: int, d_out: int, h: H) -> int:
    """``r + d`` (CDVFT section 3.4); for Table 3, d is the larger side of a rectangular layer."""
    return h["r"] + max(d_in, d_out)


def _parameters_boft(d_in: int, d_out: int, h: H) -> float:
    """``m d (b + 1) / 2``, which reproduces C3A Table 2.

    A skew-symmetric block has b (b - 1) / 2 entries, and each of the m factors has d scales.
    """
    return h["n_butterfly_factor"] * d_in * (h["block_size"] + 1) / 2


def _parameters_lamda(d_in: int, d_out: int, h: H) -> float:
    """``r² + 0.15 r d_out``, which reproduces CDVFT Table 3.

    The second projection is frozen evenly over the first 30% of training, so that 15% of it are trained on average.
    """
    return h["r"] ** 2 + 0.15 * h["r"] * d_out


def _parameters_cdvft(d_in: int, d_out: int, h: H) -> int:
    """``d_in + d_out + ceil(max / p)² p`` (CDVFT section 3.4), with circulants padded to squares (Table 3)."""
    p, further = h["block_size"], h["num_factors"] // 2
    q = ceil(max(d_in, d_out) / p)
    return d_in + further * d_out + further * q * q * p


_PARAMETERS = {
    "vera": _parameters_vera,
    "boft": _parameters_boft,
    "lamda": _parameters_lamda,
    "cdvft": _parameters_cdvft,
}


def parameters(method: str, d_in: int, d_out: int, h: H) -> float:
    """Return the trainable parameters as the papers count them; for most methods this is the exact number."""
    return _PARAMETERS.get(method, exact.parameters_of(method))(d_in, d_out, h)


def _flops_lora(d_in: int, d_out: int, h: H) -> int:
    """``2 d r + d``, which reproduces CDVFT Table 2."""
    return h["r"] * (d_in + d_out) + d_out


def _flops_vera(d_in: int, d_out: int, h: H) -> int:
    """``2 d r + (r + d) + d``: CDVFT Tables 2 and 3."""
    return h["r"] * (d_in + d_out) + (h["r"] + d_out) + d_out


def _flops_fourierft(d_in: int, d_out: int, h: H) -> float:
    """``(5 log d² + 4) d²``: CDVFT Tables 2 and 3. It is computed once per step, for any number of tokens."""
    size = d_in * d_out
    return (5 * log2(size) + 4) * size


def _flops_lamda(d_in: int, d_out: int, h: H) -> int:
    """``r (d_in + d_out) + r² + d_out``: CDVFT Table 3."""
    return h["r"] * (d_in + d_out) + h["r"] ** 2 + d_out


def _flops_c3a(d_in: int, d_out: int, h: H) -> float:
    """``(d_in + d_out) log2 b + d_in d_out / b``: the O() of C3A Table 1 with the constant 1."""
    b = h["block_size"]
    return (d_in + d_out) * log2(b) + d_in * d_out / b


def _flops_cdvft(d_in: int, d_out: int, h: H) -> float:
    """``5 p log p (q1 q2 + q1 + q2) + q1 q2 p + 3 d`` with fractions q = d / p, not rounded up (CDVFT Tables 2 and 3).

    For a square layer with one block this is ``(15 log d + 4) d``. The kernels' transforms are counted for every token.
    Each further pair of factors adds a square circulant and a diagonal.
    """
    p = h["block_size"]
    total: float = d_in + d_out
    for width in [d_in, *[d_out] * (h["num_factors"] // 2 - 1)][: h["num_factors"] // 2]:
        q1, q2 = d_out / p, width / p
        total += 5 * p * log2(p) * (q1 * q2 + q1 + q2) + q1 * q2 * p + d_out
    return total


_FLOPS = {
    "lora": _flops_lora,
    "vera": _flops_vera,
    "fourierft": _flops_fourierft,
    "lamda": _flops_lamda,
    "c3a": _flops_c3a,
    "cdvft": _flops_cdvft,
}


def flops(method: str, d_in: int, d_out: int, h: H) -> float:
    """Return the FLOPs of one token's forward pass as the papers count them.

    Raises: ValueError for a method whose FLOPs neither paper counts.
    """
    if method not in _FLOPS:
        raise ValueError(
            f"neither paper counts the FLOPs of {method!r}, only of {', '.join(_FLOPS)}; use counting='exact'"
        )
    return _FLOPS[method](d_in, d_out, h)
