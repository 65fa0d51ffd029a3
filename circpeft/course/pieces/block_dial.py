"""Block dial: choose a block size, and see the nearest block-circulant matrix, its spectrum and its costs at once."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

import plotly.graph_objects as go
import torch
from torch import Tensor

from ...plots.style import COLORS, MARKERS
from ...suggest import nearest
from .. import block_fits
from ..block_fits import BlockFit
from .base import Piece
from .static_panels import add_matrix, row, with_legend

START = 12  # the block size at the start, if the target allows it


def encoded(kernels: Tensor) -> dict:
    """Return kernels as base64 text, one byte per number, and the ``limit`` that the byte 127 stands for.

    >>> encoded(torch.tensor([2.0, -1.0]))
    {'kernels': 'f8A=', 'limit': 2.0}
    """
    limit = max(float(kernels.abs().max()), 1e-12)
    numbers = (kernels / limit * 127).round().to(torch.int8)
    return {"kernels": base64.b64encode(numbers.numpy().tobytes()).decode(), "limit": limit}


def _for_script(name: str, fits: list[BlockFit]) -> dict:
    """Return what the script needs of one target; the last fit, with b = 1, is the target itself."""
    rows, columns = fits[-1].matrix.shape
    return {
        "name": name,
        "rows": rows,
        "columns": columns,
        "fits": [
            {
                "b": fit.b,
                **encoded(fit.kernels),
                "parameters": fit.parameters,
                "flops": fit.flops_per_token,
                "rank": fit.rank,
                "captured": fit.captured,
                "values": [float(f"{value:.4g}") for value in fit.singular_values.tolist()],
            }
            for fit in fits
        ],
    }


class BlockDial(Piece):
    """Turn b from one kernel to dense. ``ΔW``, its singular values, parameters, FLOPs and rank follow.

    ``ΔW`` is the block-circulant matrix of block size b that is nearest to a target.

    Args:
        targets: matrices by name; by default those of `block_fits.targets`.
        b: the block size at the start; by default 12, or the largest that divides both sides.

    Raises: ValueError if there is no target, or for a block size that the first target does not allow.

    >>> from circpeft.course import pieces
    >>> dial = pieces.BlockDial(b=24)
    >>> dial.state
    {'target': 'random', 'b': 24}
    """

    script = "block_dial"
    title = "Block dial"
    sentences = (
        "The target “{target}”, {rows} by {columns}, and the block-circulant matrix of block size {b} that is nearest "
        "to it, with {parameters} parameters, {flops} FLOPs per token, rank {rank} of {full}, and {captured} of the "
        "target's squared norm; the singular values of both; bars compare all block sizes."
    )

    def __init__(self, targets: Mapping[str, Tensor] | None = None, b: int | None = None):
        targets = block_fits.targets() if targets is None else targets
        if not targets:
            raise ValueError("the dial needs at least one target, got none")
        self.fits = {name: block_fits.fits(target) for name, target in targets.items()}
        first = next(iter(self.fits))
        sizes = [fit.b for fit in self.fits[first]]
        if b is None:
            b = START if START in sizes else sizes[0]
        if b not in sizes:
            raise ValueError(f"target {first!r} has no block size {b!r}; choices: {', '.join(map(str, sizes))}")
        data = {"targets": [_for_script(name, fits) for name, fits in self.fits.items()]}
        super().__init__(data, {"target": first, "b": b})

    def chosen(self, target: str, b: int) -> BlockFit:
        """Return the fit with a block size.

        Raises: ValueError for an unknown target, or a block size that it does not allow.
        """
        if target not in self.fits:
            raise ValueError(f"unknown target {target!r}; {nearest(target, self.fits)}")
        found = {fit.b: fit for fit in self.fits[target]}
        if b not in found:
            raise ValueError(f"target {target!r} has no block size {b!r}; choices: {', '.join(map(str, found))}")
        return found[b]

    def _shown(self) -> BlockFit:
        """Return the fit of the chosen target whose block size is nearest to b, on a logarithmic scale."""
        return min(self.fits[self.state["target"]], key=lambda fit: abs(math.log(fit.b / self.state["b"])))

    def readings(self) -> dict[str, str | int]:
        """Return the target, the block size, and the costs and the rank of the nearest matrix."""
        fit = self._shown()
        rows, columns = fit.matrix.shape
        return {
            "target": self.state["target"],
            "rows": rows,
            "columns": columns,
            "b": fit.b,
            "parameters": f"{fit.parameters:,}",
            "flops": f"{fit.flops_per_token:,.0f}",
            "rank": fit.rank,
            "full": min(rows, columns),
            "captured": f"{100 * fit.captured:.1f} %",
        }

    def figure(self) -> go.Figure:
        """Draw the target, the nearest matrix and its singular values as they are now, and all costs by block size."""
        name, fit = self.state["target"], self._shown()
        fits, b = self.fits[name], fit.b
        dense, sizes = fits[-1], [str(one.b) for one in fits]
        titles = (f"target: {name}", f"nearest ΔW, b = {b}", "singular values (dashed: target)", "share of dense, by b")
        panels = row(titles)
        add_matrix(panels, 1, dense.matrix)
        add_matrix(panels, 2, fit.matrix)
        index = list(range(len(fit.singular_values)))
        lines = ((dense, "#5b6875", "dash"), (fit, COLORS[0], "solid"))
        for one, color, dash in lines:
            style = {"mode": "lines", "line": {"color": color, "dash": dash}, "showlegend": False}
            panels.add_scatter(x=index, y=one.singular_values.tolist(), **style, row=1, col=3)
        shares = {
            "parameters": [one.parameters / dense.parameters for one in fits],
            "FLOPs": [one.flops_per_token / (2 * dense.parameters) for one in fits],
            "rank": [one.rank / min(dense.matrix.shape) for one in fits],
            "captured": [one.captured for one in fits],
        }
        for k, (label, values) in enumerate(shares.items()):
            marker = {"color": COLORS[k], "symbol": MARKERS[k]}
            style = {"mode": "lines+markers", "line": {"color": COLORS[k]}, "marker": marker, "name": label}
            panels.add_scatter(x=sizes, y=values, **style, row=1, col=4)
        panels.update_xaxes(type="category", title="b", row=1, col=4)
        panels.update_yaxes(type="log", dtick=1, row=1, col=4)
        return with_legend(panels)
