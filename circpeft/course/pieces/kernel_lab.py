"""Kernel lab: draw a kernel by hand, and see its matrix, spectrum, rank and effect on a signal."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from ...ops import circulant
from ...ops.checks import check_layout
from ...plots.style import COLORS
from .base import Piece
from .number_texts import listed, short
from .static_panels import add_matrix, add_stems, row

SIZE = 16


def presets(d: int) -> dict[str, list[float]]:
    """Return the kernels of the buttons, each of length d.

    >>> presets(4)["difference"]
    [1.0, -1.0, 0.0, 0.0]
    """
    places = {
        "identity": {0: 1.0},
        "shift": {1: 1.0},
        "blur": {0: 0.5, 1: 0.25, -1: 0.25},
        "difference": {0: 1.0, 1: -1.0},
        "average": dict.fromkeys(range(d), round(1 / d, 6)),
        "zero": {},
    }
    kernels = {}
    for name, entries in places.items():
        kernel = [0.0] * d
        for place, value in entries.items():
            kernel[place % d] += value
        kernels[name] = kernel
    return kernels


def signals(d: int) -> dict[str, list[float]]:
    """Return the signals to choose from: a step, a smooth bump, a wave, and a single one, each of length d."""
    place = torch.arange(d, dtype=torch.float64)
    found = {
        "step": ((place >= d // 4) & (place < 3 * d // 4)).double(),
        "bump": torch.exp(-0.5 * ((place - d // 2) / (d / 10)) ** 2),
        "wave": torch.cos(2 * torch.pi * 3 * place / d),
        "single one": (place == d // 4).double(),
    }
    return {name: values.tolist() for name, values in found.items()}


def kernel_numbers(kernel: Sequence[float], signal: Sequence[float], layout: str) -> dict:
    """Return what the pictures show, as the script computes it too: matrix, spectrum, rank and result.

    >>> kernel_numbers([1, -1, 0, 0], [1, 0, 0, 0], "column")["rank"]
    3
    """
    w, x = (torch.tensor(values, dtype=torch.float64) for values in (kernel, signal))
    matrix, spectrum = circulant(w, layout=layout), torch.fft.fft(w).abs()
    return {
        "matrix": matrix.tolist(),
        "spectrum": spectrum.tolist(),
        "rank": int((spectrum > 1e-9 * spectrum.max()).sum()),
        "result": (matrix @ x).tolist(),
    }


class KernelLab(Piece):
    """Draw a kernel; its matrix, its spectrum, its rank, and what it does to a signal follow.

    Args:
        kernel: the kernel at the start, of any length up to 32; by default "difference" of length 16.
        layout: "column" or "row", as in `circpeft.circulant`.
    """

    script = "kernel_lab"
    title = "Kernel lab"
    sentences = (
        "A kernel of {d} numbers: {kernel}; its {d} by {d} circulant matrix in {layout} layout, of rank {rank}; the "
        "absolute values of its spectrum, from {lowest} to {highest}; and the signal “{signal}” before and after the "
        "product with the matrix. The product: {result}."
    )

    def __init__(self, kernel: Sequence[float] | None = None, layout: str = "column"):
        kernel = presets(SIZE)["difference"] if kernel is None else [float(value) for value in kernel]
        d = len(kernel)
        if not 2 <= d <= 32:
            raise ValueError(f"the kernel has {d} entries; the lab draws from 2 to 32")
        check_layout(layout)
        state = {"kernel": kernel, "layout": layout, "signal": "step"}
        super().__init__({"presets": presets(d), "signals": signals(d)}, state)

    def _numbers(self) -> dict:
        return kernel_numbers(self.state["kernel"], self.data["signals"][self.state["signal"]], self.state["layout"])

    def readings(self) -> dict[str, str | int]:
        """Return the kernel, what it makes of the signal, and the other words of the alternative text."""
        state, found = self.state, self._numbers()
        spectrum = {"lowest": short(min(found["spectrum"])), "highest": short(max(found["spectrum"]))}
        lists = {"kernel": listed(state["kernel"]), "result": listed(found["result"])}
        chosen = {"layout": state["layout"], "signal": state["signal"]}
        return {"d": len(state["kernel"]), "rank": found["rank"], **chosen, **spectrum, **lists}

    def figure(self) -> go.Figure:
        """Draw the kernel, its matrix, its spectrum and the signal as they are now."""
        kernel, signal = self.state["kernel"], self.data["signals"][self.state["signal"]]
        found, places = self._numbers(), list(range(len(kernel)))
        titles = ("kernel", f"matrix, rank {found['rank']}", "absolute spectrum", "signal (dashed) and result")
        panels = row(titles)
        add_stems(panels, 1, kernel, COLORS[0])
        add_matrix(panels, 2, found["matrix"], limit=1.0)
        add_stems(panels, 3, found["spectrum"], COLORS[2])
        panels.add_scatter(x=places, y=signal, mode="lines", line={"color": "#5b6875", "dash": "dash"}, row=1, col=4)
        panels.add_scatter(x=places, y=found["result"], mode="lines", line={"color": COLORS[1]}, row=1, col=4)
        return panels.update_xaxes(dtick=5, col=4)
