"""Rotating phasors: a wave is an eigenvector of every circulant, and its eigenvalue is a sum of turned arrows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from ...ops import circulant
from ...plots.style import COLORS
from .base import Piece
from .number_texts import ZERO, short
from .static_panels import row

SIZE = 8
KERNELS = {
    "shift": [0.0, 1.0, 0, 0, 0, 0, 0, 0],
    "blur": [0.5, 0.25, 0, 0, 0, 0, 0, 0.25],
    "difference": [1.0, -1.0, 0, 0, 0, 0, 0, 0],
    "five entries": [0.6, 0.5, -0.4, 0, 0.3, 0, -0.5, 0],
}


def phasor_numbers(kernel: Sequence[float], k: int) -> dict:
    """Return the wave f_k, its product with the column-layout circulant, the terms of the eigenvalue, and their sum.

    The terms are ``c_j exp(2 pi i j k / d)``. Complex vectors are given as {"re": list, "im": list}.

    >>> phasor_numbers([0.0, 1.0, 0.0, 0.0], 2)["eigenvalue"]
    [-1.0, 0.0]
    """
    c = torch.tensor(kernel, dtype=torch.complex128)
    steps = (torch.arange(len(kernel), dtype=torch.float64) * k) % len(kernel)
    turns = torch.exp(2j * torch.pi * steps / len(kernel))
    wave, terms = turns.conj(), c * turns
    image = circulant(c.real).to(c.dtype) @ wave
    total = terms.sum()
    vectors = {"wave": wave, "image": image, "terms": terms}
    split = {name: {"re": v.real.tolist(), "im": v.imag.tolist()} for name, v in vectors.items()}
    return {**split, "eigenvalue": [float(total.real), round(float(total.imag), 12) + 0.0]}


class Phasors(Piece):
    """The entries of a wave as clock hands, the same for its product with a circulant, and the eigenvalue as a sum.

    Args:
        kernel: the kernel at the start, a name in `KERNELS`.
        k: the wave at the start, from 0 to 7.
    """

    script = "phasors"
    title = "Rotating phasors"
    sentences = (
        "The {d} entries of wave {k} as clock hands, and below them the entries of the circulant matrix of the kernel "
        "“{kernel}” times the wave: each hand is {size} times as long, and turned by {angle} degrees. Beside them, "
        "{terms} of the kernel's {d} entries as turned arrows, head to tail. Their sum is {sum}; that of all is the "
        "eigenvalue, {eigenvalue}."
    )

    def __init__(self, kernel: str = "shift", k: int = 1):
        if kernel not in KERNELS:
            raise ValueError(f"no kernel {kernel!r}; choices: {', '.join(KERNELS)}")
        if not 0 <= k < SIZE:
            raise ValueError(f"k is {k}; expected a wave from 0 to {SIZE - 1}")
        super().__init__({"kernels": KERNELS}, {"kernel": kernel, "k": k, "terms": SIZE})

    def readings(self) -> dict[str, str | int]:
        """Return the kernel, the wave, the eigenvalue, and the sum of the arrows that are drawn."""
        found, terms = phasor_numbers(KERNELS[self.state["kernel"]], self.state["k"]), self.state["terms"]
        re, im = found["eigenvalue"]
        size = math.hypot(re, im)
        angle = math.floor(round(math.degrees(math.atan2(im, re)), 6) + 0.5) if size >= ZERO else 0  # as the script
        drawn = [sum(found["terms"][part][:terms]) for part in ("re", "im")]
        turned = {"size": short(size), "angle": str(angle).replace("-", "−")}
        return {"d": SIZE, **self.state, **turned, "sum": _complex(*drawn), "eigenvalue": _complex(re, im)}

    def figure(self) -> go.Figure:
        """Draw the hands of both waves, and the sum of arrows, as they are now."""
        found = phasor_numbers(KERNELS[self.state["kernel"]], self.state["k"])
        panels = row(["the wave (above) and the matrix times the wave", "the eigenvalue as a sum"])
        for name, height, color in (("wave", 2.0, COLORS[0]), ("image", -1.0, COLORS[1])):
            for j, (re, im) in enumerate(zip(found[name]["re"], found[name]["im"], strict=True)):
                _arrow(panels, 1, (3 * j, height), (re, im), color)
        place = (0.0, 0.0)
        drawn = slice(self.state["terms"])
        for re, im in zip(found["terms"]["re"][drawn], found["terms"]["im"][drawn], strict=True):
            _arrow(panels, 2, place, (re, im), COLORS[0])
            place = (place[0] + re, place[1] + im)
        _arrow(panels, 2, (0.0, 0.0), place, COLORS[1])
        panels.update_xaxes(showticklabels=False, showgrid=False, col=1)
        panels.update_yaxes(showticklabels=False, showgrid=False, col=1)
        panels.update_xaxes(domain=[0, 0.66], range=[-1.5, 22.5], col=1)
        panels.update_yaxes(range=[-2.6, 3.6], col=1)
        panels.update_xaxes(domain=[0.74, 1.0], range=[-2.1, 2.1], col=2)
        panels.update_yaxes(range=[-2.1, 2.1], col=2)
        panels.layout.annotations[0].x, panels.layout.annotations[1].x = 0.33, 0.87
        return panels


def _complex(re: float, im: float) -> str:
    if abs(im) < ZERO:
        return short(re)
    return f"{short(re)} {'−' if im < 0 else '+'} {short(abs(im))}i"


def _arrow(panels: go.Figure, column: int, place: tuple, step: tuple, color: str) -> None:
    x, y = [place[0], place[0] + step[0]], [place[1], place[1] + step[1]]
    head = {"size": [0, 8], "color": color}
    panels.add_scatter(x=x, y=y, mode="lines+markers", line={"color": color}, marker=head, row=1, col=column)
