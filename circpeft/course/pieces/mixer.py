"""Factor mixer: three drawn vectors, the matrix that they make, and which of them have a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch

from ...ops import circulant
from ...plots.style import COLORS
from .base import Piece
from .number_texts import listed, short
from .static_panels import add_matrix, add_stems, row

SIZE, RATE = 8, 0.1
FACTORS = {"a1": "a₁", "c": "c", "a3": "a₃"}


def mixer_numbers(factors: Mapping[str, Sequence[float]], gradient: Sequence[Sequence[float]]) -> dict:
    """Return ``ΔW = diag(a3) C(c) diag(a1)`` and the gradients of the three vectors, given that of ΔW.

    >>> found = mixer_numbers({"a1": [1, 1], "c": [0, 0], "a3": [1, 1]}, [[1, 2], [3, 4]])
    >>> found["delta"], found["a1"], found["c"]
    ([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0], [5.0, 5.0])
    """
    leaves = {name: torch.tensor(factors[name], dtype=torch.float64).requires_grad_() for name in FACTORS}
    delta = leaves["a3"][:, None] * circulant(leaves["c"]) * leaves["a1"]
    found = torch.autograd.grad(delta, list(leaves.values()), torch.tensor(gradient, dtype=torch.float64))
    return {"delta": delta.tolist()} | {name: g.tolist() for name, g in zip(FACTORS, found, strict=True)}


def starts() -> dict[str, dict[str, list[float]]]:
    """Return the factors to start from, under the texts of the buttons."""
    generator = torch.Generator().manual_seed(5)
    drawn = {
        name: [
            round(v, 1)
            for v in (0.8 * torch.randn(SIZE, generator=generator, dtype=torch.float64)).clamp(-2, 2).tolist()
        ]
        for name in FACTORS
    }
    zero, ones = [0.0] * SIZE, [1.0] * SIZE
    return {
        "c = 0, ones": {"a1": ones, "c": zero, "a3": ones},
        "a₁ = 0": {**drawn, "a1": zero},
        "c = a₃ = 0": {**drawn, "c": zero, "a3": zero},
        "random": drawn,
    }


class FactorMixer(Piece):
    """Draw the vectors of ``A C A``; their ΔW and the gradient of each follow.

    Args:
        start: the factors at the start, a text in `starts()`; the default is that of `circpeft.CDVFT`.
    """

    script = "mixer"
    title = "Factor mixer"
    sentences = (
        "Three vectors of {d} numbers: a₁ is {a1}; c is {c}; a₃ is {a3}. The matrix that the product of diagonal, "
        "circulant and diagonal makes of them, with entries up to {largest}, and the gradient of each vector. Entries "
        "with a gradient: {live}."
    )

    def __init__(self, start: str = "c = 0, ones"):
        choices = starts()
        if start not in choices:
            raise ValueError(f"no start {start!r}; choices: {', '.join(choices)}")
        gradient = torch.randn(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).tolist()
        super().__init__({"starts": choices, "gradient": gradient, "rate": RATE}, choices[start])

    def readings(self) -> dict[str, str | int]:
        """Return the vectors, the largest entry of ΔW, and how many entries of each vector have a gradient."""
        found = mixer_numbers(self.state, self.data["gradient"])
        counts = {name: sum(abs(value) > 1e-12 for value in found[name]) for name in FACTORS}
        live = ", ".join(f"{counts[name]} of {SIZE} in {letter}" for name, letter in FACTORS.items())
        largest = max(abs(value) for line in found["delta"] for value in line)
        vectors = {name: listed(self.state[name]) for name in FACTORS}
        return {"d": SIZE, **vectors, "largest": short(largest), "live": live}

    def figure(self) -> go.Figure:
        """Draw the vectors with their gradients, and ΔW, as they are now."""
        found = mixer_numbers(self.state, self.data["gradient"])
        panels = row([*(f"{letter}; grey: its gradient" for letter in FACTORS.values()), "ΔW"])
        for column, name in enumerate(FACTORS, 1):
            add_stems(panels, column, self.state[name], COLORS[column - 1])
            add_stems(panels, column, found[name], "#9aa5b1")
        add_matrix(panels, 4, found["delta"])
        return panels
