"""Bytes that a method adds to a frozen layer: saved for the backward pass, and moved at the least.

``t`` tokens with activations of ``e`` bytes a number; adapters are float32. C3A and CDVFT are this package's modules,
the others PEFT's; LaMDA is its paper's ``B S A x``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops.backends import get_fused_backend
from .exact import circulant_grids, parameters_of

H = dict[str, Any]
ADAPTER_BYTES = 4  # of an adapter's numbers
Count = Callable[[int, int, int, H, int], int]


def _saved_cdvft(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    grids = circulant_grids(d_in, d_out, h)
    if not grids or get_fused_backend(h["backend"]) is not None:
        return e * t * (d_in + d_out * max(0, len(grids) - 1))  # each circulant's own input
    # x for the first diagonal; then each circulant's (padded) input and output, in the adapter's precision.
    return max(e, ADAPTER_BYTES) * t * (d_in + sum(n * b + m * b for m, n, b in grids))


def _saved_c3a(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    fused = get_fused_backend(h["backend"]) is not None
    scaled_kernel = 0 if fused else ADAPTER_BYTES * d_in * d_out // h["block_size"]
    return t * d_in * e + scaled_kernel


def _saved_boft(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """x rotated, the output before scaling; the rotation, factor by factor, with what the Cayley transforms keep."""
    f, b = h["n_butterfly_factor"], h["block_size"]
    once = 2 * f * d_in**2 + f * (3 * d_in * b + d_in) + 2 * d_out
    return e * t * (d_in + d_out) + ADAPTER_BYTES * once


_SAVED: dict[str, Count] = {
    "full": lambda t, d_in, d_out, h, e: t * d_in * e,
    "head": lambda t, d_in, d_out, h, e: 0,
    "bitfit": lambda t, d_in, d_out, h, e: 0,
    "ia3": lambda t, d_in, d_out, h, e: (t * e + ADAPTER_BYTES) * (d_in if h["feedforward"] else d_out),
    "lora": lambda t, d_in, d_out, h, e: t * (d_in + h["r"]) * e,
    "dora": lambda t, d_in, d_out, h, e: t * (d_in + h["r"] + 2 * d_out) * e + ADAPTER_BYTES * 3 * d_out,
    "vera": lambda t, d_in, d_out, h, e: t * (h["r"] + d_out) * e,
    "fourierft": lambda t, d_in, d_out, h, e: t * d_in * e + ADAPTER_BYTES * d_in * d_out,
    "boft": _saved_boft,
    "lamda": lambda t, d_in, d_out, h, e: t * h["r"] * e * (1 if h["frozen"] else 2),
    "c3a": _saved_c3a,
    "cdvft": _saved_cdvft,
}


def saved(method: str, t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """Bytes of the activations kept for the backward pass, beyond the parameters."""
    return _SAVED[method](t, d_in, d_out, h, e)


def _frozen(method: str, d_in: int, d_out: int, h: H) -> int:
    """Numbers of a method's own frozen projections."""
    if method == "vera":
        return h["r"] * (d_in + d_out)
    if method == "lamda":
        return h["r"] * d_in + (h["r"] * d_out if h["frozen"] else 0)
    return 0


def _dense(method: str, d_in: int, d_out: int, h: H) -> int:
    """Numbers of a d x d matrix that a method builds at every step, written once and read once."""
    if method == "fourierft" or h.get("backend") == "reference":
        return d_in * d_out
    return d_in**2 if method == "boft" else 0


def moved(method: str, t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """The least bytes between memory and processor in a forward pass: no implementation of the method moves fewer.

    x read once, the layer's output read and written once (not by methods that leave it alone), parameters and frozen
    projections read once, and a dense matrix, where the method builds one, written and read.
    """
    if method in ("full", "head", "bitfit"):
        return 0
    numbers = (
        parameters_of(method)(d_in, d_out, h) + _frozen(method, d_in, d_out, h) + 2 * _dense(method, d_in, d_out, h)
    )
    reads_x = 0 if method == "ia3" and not h["feedforward"] else d_in
    output = 2 * (d_in if method == "ia3" and h["feedforward"] else d_out)
    if method == "ia3":  # its one product reads and writes one side
        reads_x = 0
    return ADAPTER_BYTES * numbers + e * t * (reads_x + output)
