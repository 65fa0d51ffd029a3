"""Factor mixer: three drawn vectors, the matrix that they make, and which of them have a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch

from ...ops import circulant
from ...plots.style import COLORS
from .base import Piece
from .static_panels import add_matrix, add_stems, row

SIZE, RATE = 8, 0.1
FACTORS = ("a1", "c", "a3")


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

    def __init__(self, start: str = "c = 0, ones"):
        choices = starts()
        if start not in choices:
            raise ValueError(f"no start {start!r}; choices: {', '.join(choices)}")
        gradient = torch.randn(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).tolist()
        found = mixer_numbers(choices[start], gradient)
        live = ", ".join(f"{name} {sum(v != 0 for v in found[name])} of {SIZE}" for name in FACTORS)
        alt = (
            f"Three vectors of {SIZE} numbers, the matrix that the product of diagonal, circulant and diagonal makes "
            f"of them, and the gradient of each vector. Entries with a gradient: {live}."
        )
        super().__init__({"starts": choices, "gradient": gradient, "rate": RATE}, choices[start], alt)

    def figure(self) -> go.Figure:
        """Draw the vectors with their gradients, and ΔW, as they are now."""
        found = mixer_numbers(self.state, self.data["gradient"])
        panels = row([*(f"{name}; grey: its gradient" for name in ("a₁", "c", "a₃")), "ΔW"])
        for column, name in enumerate(FACTORS, 1):
            add_stems(panels, column, self.state[name], COLORS[column - 1])
            add_stems(panels, column, found[name], "#9aa5b1")
        add_matrix(panels, 4, found["delta"])
        return panels
