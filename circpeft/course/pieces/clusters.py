"""Clusters live: a small network on eight clusters of points, trained in the browser."""

from __future__ import annotations

import math
from functools import lru_cache

import plotly.graph_objects as go

from . import cluster_run
from .base import Piece
from .static_panels import row

# Okabe and Ito's eight colours, with grey for black. The class numbers beside the points say the same.
CLASS_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
RATES = (0.001, 0.003, 0.01, 0.03)
EPOCHS, SHOWN = 300, 100  # epochs in the browser, and in the static form


class Clusters(Piece):
    """Train a network of width 64 on eight clusters, with its middle layer, rate, seed and noise as controls.

    Args:
        middle: the middle layer at the start, a name in `cluster_run.MIDDLE`.
        rate: Adam's learning rate at the start, one of 0.001, 0.003, 0.01 and 0.03.
        seed: the points and the initial values, from 0 to 9.
        noise: the standard deviation of the points around their centre, from 0.05 to 0.4.
    """

    script = "clusters"
    title = "Clusters live"
    sentences = (
        "Eight clusters of points on a circle in the colours of their classes, on a plane coloured by the class that a "
        "network predicts after {epoch} epochs, and its training accuracy over the epochs: {right}. The middle layer "
        "is “{middle}”, the learning rate {rate}, the seed {seed} and the noise {noise}."
    )

    def __init__(self, middle: str = "rank 1", rate: float = 0.003, seed: int = 0, noise: float = 0.1):
        if middle not in cluster_run.MIDDLE:
            raise ValueError(f"no middle layer {middle!r}; choices: {', '.join(cluster_run.MIDDLE)}")
        if rate not in RATES:
            raise ValueError(f"rate is {rate}; choices: {', '.join(map(str, RATES))}")
        if seed not in range(10) or not 0.05 <= noise <= 0.4:
            raise ValueError(f"seed is {seed} and noise {noise}; expected seeds from 0 to 9 and noise from 0.05 to 0.4")
        state = {"middle": middle, "rate": rate, "seed": seed, "noise": noise}
        super().__init__({"classColors": CLASS_COLORS, "rates": RATES, "epochs": EPOCHS}, state)

    def readings(self) -> dict[str, str | int]:
        """Return the settings, and the accuracy of the run that the static form shows."""
        right = math.floor(100 * _trained(**self.state)["accuracy"][-1] + 0.5)
        state = self.state
        return {
            "middle": state["middle"],
            "rate": f"{state['rate']:g}",
            "seed": state["seed"],
            "noise": f"{state['noise']:.2f}",
            "epoch": SHOWN,
            "right": f"{right} % of the points right",
        }

    def figure(self) -> go.Figure:
        """Draw the plane and the accuracy after 100 epochs with the chosen settings, trained here."""
        found = _trained(**self.state)
        panels = row([f"the plane after {SHOWN} epochs: {self.state['middle']}", "training accuracy, %"], 800, 380)
        classes = len(CLASS_COLORS)
        scale = [[(k + side) / classes, _pale(CLASS_COLORS[k])] for k in range(classes) for side in (0, 1)]
        axis = cluster_run.plane_axis().tolist()
        plane = {"z": found["regions"], "x": axis, "y": axis, "zmin": -0.5, "zmax": classes - 0.5}
        panels.add_heatmap(**plane, colorscale=scale, showscale=False, row=1, col=1)
        for k, color in enumerate(CLASS_COLORS):
            own = found["points"][cluster_run.PER_CLASS * k : cluster_run.PER_CLASS * (k + 1)]
            x, y = zip(*own, strict=True)
            panels.add_scatter(x=x, y=y, mode="markers", marker={"color": color, "size": 6}, row=1, col=1)
        percent = [100 * share for share in found["accuracy"]]
        panels.add_scatter(y=percent, mode="lines", line={"color": CLASS_COLORS[0]}, row=1, col=2)
        panels.update_yaxes(range=[0, 103], col=2)
        return panels.update_xaxes(title="epoch", col=2)


@lru_cache(maxsize=8)  # the picture and its text show the same run
def _trained(middle: str, rate: float, seed: int, noise: float) -> dict:
    return cluster_run.train(middle, rate, seed, noise, epochs=SHOWN)


def _pale(color: str) -> str:
    """Return a colour '#rrggbb' mixed with white, as the browser draws the regions."""
    mixed = (round(0.42 * int(color[i : i + 2], 16) + 0.58 * 255) for i in (1, 3, 5))
    return "#" + "".join(f"{value:02x}" for value in mixed)
