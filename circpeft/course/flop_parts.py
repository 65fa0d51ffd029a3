"""The parts of an adapter's forward pass and their operations, as a picture for notebook 05."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2
from typing import Any

import plotly.graph_objects as go

from ..costs.circulant import scaled_entries
from ..costs.hyperparameters import resolve
from ..ops.backends import get_backend
from ..plots.style import COLORS, TEMPLATE
from ..suggest import nearest

PARTS = ("thin products", "transforms of tokens", "products of spectra", "transforms of kernels", "scale and sum")


def parts(method: str, d_in: int, d_out: int, tokens: int, **options: int) -> dict[str, float]:
    """Return the operations of a forward pass by part, with the names of `PARTS`. A part without operations is absent.

    Formulas: LoRA ``2 t r (d_in + d_out)`` for its two products. A circulant grid of ``m x n`` blocks has ``t (m + n)``
    real transforms of tokens and ``m n`` of kernels, of ``2.5 b log2 b`` each, and ``8 t m n (b // 2 + 1)`` for the
    products of spectra, less the first addition of each sum if there are few blocks. The scale is one multiplication
    per kernel entry where it is not 1, and per output for LoRA.

    Args:
        method: "lora", "c3a" or "cdvft".
        options: ``r`` of LoRA, ``block_size`` of the others.

    Raises: ValueError for another method.

    >>> parts("lora", 4, 3, tokens=10, r=2)
    {'thin products': 280, 'scale and sum': 60}
    """
    if method not in ("lora", "c3a", "cdvft"):
        raise ValueError(f"no parts for {method!r}; {nearest(method, ('lora', 'c3a', 'cdvft'))}")
    if method == "lora":
        return {PARTS[0]: 2 * tokens * options["r"] * (d_in + d_out), PARTS[4]: 2 * tokens * d_out}
    h = resolve(method, d_in, d_out, options)
    b = h["block_size"]
    m, n = ceil(d_out / b), ceil(d_in / b)
    transform = 2.5 * b * log2(b) if b > 1 else 0.0
    transforms, kernels = tokens * (m + n) * transform, m * n * transform
    scaled = scaled_entries(method, d_in, d_out, h)
    diagonals = tokens * (d_in + d_out) if method == "cdvft" else 0
    return {
        PARTS[1]: transforms,
        PARTS[2]: get_backend("rfft").matmul_flops(tokens, m, n, b) - round(transforms + kernels),
        PARTS[3]: kernels,
        PARTS[4]: scaled + diagonals + tokens * d_out,
    }


def figure(cases: Mapping[str, tuple[str, dict[str, Any]]], d_in: int, d_out: int, tokens: int) -> go.Figure:
    """Draw the operations per token of several adapters as stacked bars, one colour for each part.

    Args:
        cases: ``{label: (method, options)}``, as for `parts`.

    >>> figure({"LoRA": ("lora", {"r": 8})}, 768, 768, 256).layout.barmode
    'stack'
    """
    found = {label: parts(method, d_in, d_out, tokens, **options) for label, (method, options) in cases.items()}
    drawn = go.Figure(layout={"template": TEMPLATE, "barmode": "stack", "width": 780, "height": 420})
    for color, part in zip(COLORS, PARTS, strict=False):
        heights = [row.get(part, 0.0) / tokens for row in found.values()]
        drawn.add_bar(x=list(found), y=heights, name=part, marker={"color": color})
    drawn.update_yaxes(title="operations per token")
    drawn.update_xaxes(type="category", showgrid=False)
    drawn.update_layout(title=f"Forward pass of a layer {d_in} → {d_out}, {tokens} tokens", margin={"r": 210})
    return drawn
