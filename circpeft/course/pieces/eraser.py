"""Spectrum eraser: switch frequencies off, and watch the rank and the greatest common divisor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go

from ...ops import circulant
from ...plots.style import COLORS
from .base import Piece
from .number_texts import listed
from .static_panels import add_matrix, add_stems, row

KERNEL = [0.9, -0.4, 0.6, 0.2, -0.7, 0.5, 0.1, -0.3, 0.8, -0.5, 0.3, 0.4]


def eraser_numbers(kernel: Sequence[float], erased: Iterable[int]) -> dict:
    """Return the kernel, spectrum, rank and gcd(f, x^d - 1) after frequencies are set to zero.

    The gcd is given by its coefficients, from x^0 on. Its roots are those of x^d - 1 at which f is zero.

    >>> eraser_numbers([1.0, 0.0, 0.0, 0.0], [0])["gcd"]
    [-1.0, 1.0]
    """
    spectrum = np.fft.fft(np.asarray(kernel, dtype=float))
    spectrum[list(erased)] = 0
    sizes = np.abs(spectrum)
    zeros = np.flatnonzero(sizes <= 1e-9 * sizes.max())
    roots = np.exp(-2j * np.pi * zeros / len(kernel))
    return {
        "kernel": np.fft.ifft(spectrum).real.tolist(),
        "spectrum": sizes.tolist(),
        "rank": len(kernel) - len(zeros),
        "gcd": np.poly(roots).real[::-1].tolist() if len(zeros) else [1.0],
    }


class SpectrumEraser(Piece):
    """A kernel of twelve numbers with a switch for each frequency.

    Args:
        erased: the frequencies that are zero at the start; the mirror image d - k of each is erased, too, so that the
            kernel stays real.
    """

    script = "eraser"
    title = "Spectrum eraser"
    sentences = (
        "The spectrum of a kernel of {d} numbers, with {erased} erased; the roots of x to the power "
        "{d} minus 1, of which {shared} are shared with the kernel's polynomial; the kernel that is left, {kernel}; "
        "and its circulant matrix, of rank {rank}."
    )

    def __init__(self, erased: Iterable[int] = (3,)):
        d, given = len(KERNEL), list(erased)
        if not set(given) <= set(range(d)):
            raise ValueError(f"erased is {given}; expected frequencies from 0 to {d - 1}")
        both = sorted({k for each in given for k in (each, -each % d)})
        super().__init__({"kernel": KERNEL}, {"erased": both})

    def readings(self) -> dict[str, str | int]:
        """Return the erased frequencies, the kernel that is left, its rank, and the number of shared roots."""
        erased, d = self.state["erased"], len(KERNEL)
        found = eraser_numbers(KERNEL, erased)
        texts = {"erased": _erased(erased), "kernel": listed(found["kernel"])}
        return {"d": d, "rank": found["rank"], "shared": d - found["rank"], **texts}

    def figure(self) -> go.Figure:
        """Draw the spectrum, the roots, the kernel and the matrix as they are now."""
        import torch

        found, d = eraser_numbers(KERNEL, self.state["erased"]), len(KERNEL)
        panels = row(
            [
                "absolute spectrum",
                "roots of x¹² − 1; large: shared",
                "kernel that is left",
                f"matrix, rank {found['rank']}",
            ]
        )
        add_stems(panels, 1, found["spectrum"], COLORS[2])
        angles = -2 * np.pi * np.arange(d) / d
        shared = np.array(found["spectrum"]) <= 1e-9 * max(found["spectrum"])
        for group, size in ((shared, 14), (~shared, 6)):
            points = {"x": np.cos(angles[group]), "y": np.sin(angles[group])}
            marker = {"color": COLORS[1], "size": size}
            panels.add_scatter(**points, mode="markers", marker=marker, row=1, col=2)
        panels.update_xaxes(range=[-1.3, 1.3], col=2).update_yaxes(range=[-1.3, 1.3], col=2)
        add_stems(panels, 3, found["kernel"], COLORS[0])
        add_matrix(panels, 4, circulant(torch.tensor(found["kernel"])))
        return panels


def _erased(frequencies: Sequence[int]) -> str:
    if not frequencies:
        return "no frequency"
    places = ", ".join(map(str, frequencies))
    return f"the frequencies {places}" if len(frequencies) > 1 else f"frequency {places}"
