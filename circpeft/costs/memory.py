"""Bytes that a method adds to a frozen layer: saved for the backward pass, and moved at the least.

Letters: ``t`` tokens, ``e`` bytes per number of an activation; adapters are float32. C3A and CDVFT are this package's
modules and the others PEFT's. LaMDA is ``B S A x`` as in its paper.
"""

from __future__ import annotations

from collections.abc import Callable

from ..method_specs import get_spec
from ..ops.backends import get_backend, get_fused_backend
from .circulant import circulant_grids, scaled_entries
from .exact import parameters_of
from .hyperparameters import H

ADAPTER_BYTES = 4  # per number of an adapter
Count = Callable[[int, int, int, H, int], int]


def _saved_cdvft(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    grids = circulant_grids(d_in, d_out, h)
    if not grids:  # x, and the scaled diagonal if it is a separate tensor
        return e * t * d_in + ADAPTER_BYTES * scaled_entries("cdvft", d_in, d_out, h)
    if get_fused_backend(h["backend"]) is not None:
        return e * t * (d_in + d_out * (len(grids) - 1))  # the input of each circulant factor
    # x for the first diagonal, then the padded input and output of each circulant, in the adapter's precision
    activations = max(e, ADAPTER_BYTES) * t * (d_in + sum(n * b + m * b for m, n, b in grids))
    return activations + ADAPTER_BYTES * scaled_entries("cdvft", d_in, d_out, h)


def _saved_c3a(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """x, and the scaled kernel if it is a separate tensor."""
    fused = get_fused_backend(h["backend"]) is not None
    scaled_kernel = 0 if fused else ADAPTER_BYTES * scaled_entries("c3a", d_in, d_out, h)
    return t * d_in * e + scaled_kernel


def _saved_boft(t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """Count the rotated x, the output before scaling, and per factor its rotation and Cayley transform."""
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
    """Return the bytes of the activations saved for the backward pass, beyond the parameters."""
    return _SAVED[method](t, d_in, d_out, h, e)


def _frozen_projections(method: str, d_in: int, d_out: int, h: H) -> int:
    """Return how many numbers the method's own frozen projections have."""
    if method == "vera":
        return h["r"] * (d_in + d_out)
    if method == "lamda":
        return h["r"] * d_in + (h["r"] * d_out if h["frozen"] else 0)
    return 0


def _dense_matrix(method: str, d_in: int, d_out: int, h: H) -> int:
    """Return how many numbers the dense matrix has that a method builds in every step; 0 if it builds none."""
    if method == "fourierft" or ("backend" in h and get_backend(h["backend"]).BUILDS_MATRIX):
        return d_in * d_out
    return d_in**2 if method == "boft" else 0


def moved(method: str, t: int, d_in: int, d_out: int, h: H, e: int) -> int:
    """Return the least bytes that any implementation of the method moves to and from memory in a forward pass.

    Counted are x, read once; the layer's output, read and written once (unless the method leaves it as it is);
    parameters and frozen projections, read once; and a dense matrix, if the method builds one, written and read.
    """
    if not get_spec(method).trains_adapter:
        return 0
    parameters, dense = parameters_of(method)(d_in, d_out, h), _dense_matrix(method, d_in, d_out, h)
    numbers = parameters + _frozen_projections(method, d_in, d_out, h) + 2 * dense
    # (IA)³ multiplies one side of the layer, which is read and written; all others read x and change the output.
    per_token = 2 * (d_in if h["feedforward"] else d_out) if method == "ia3" else d_in + 2 * d_out
    return ADAPTER_BYTES * numbers + e * t * per_token
