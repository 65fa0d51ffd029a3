"""The roofline plot: the FLOPs per second that memory and arithmetic allow, over the FLOPs per byte."""

import numpy as np
import plotly.graph_objects as go

from ..escaping import LONGEST_NAME, plotly_name
from .charts import lines
from .style import COLORS, MARKERS

MARGIN = 3.0  # factor between the outermost point and the edge of the plot


def roofline(bytes_per_second, roofs, points, title=""):
    """Draw the limits of a processor, and points below them, on logarithmic axes.

    Under a roof of ``p`` FLOPs per second, a program with ``i`` FLOPs per byte reaches at most ``min(p, i *
    bytes_per_second)``.

    Args:
        bytes_per_second: of the memory.
        roofs: {label: FLOPs per second}.
        points: {label: (FLOPs per byte, FLOPs per second)}.
        title: text of the figure.
    Raises:
        ValueError: for a number that is not positive.

    >>> roofline(2.0, {"units": 8.0}, {"sum": (0.5, 1.0)}).data[0].name
    'limit: units'
    """
    for label, values in [
        ("bytes_per_second", [bytes_per_second]),
        *((k, [v]) for k, v in roofs.items()),
        *points.items(),
    ]:
        if not all(value > 0 for value in values):
            raise ValueError(f"{label!r} is {values}; expected numbers above 0")
    ridges = [peak / bytes_per_second for peak in roofs.values()]
    intensities = [*ridges, *(intensity for intensity, _ in points.values())]
    x = np.geomspace(min(intensities) / MARGIN, max(intensities) * MARGIN, 200)
    x = np.unique(np.concatenate([x, ridges]))
    limits = {f"limit: {label}": (x, np.minimum(peak, x * bytes_per_second)) for label, peak in roofs.items()}
    names = [*limits, *points]
    figure = lines(limits, title, "FLOPs per byte", "FLOPs per second", log_x=True, log_y=True, markers=False)
    for i, (label, (intensity, rate)) in enumerate(points.items()):
        marker = {"symbol": MARKERS[i % len(MARKERS)], "size": 12, "color": COLORS[(len(roofs) + i) % len(COLORS)]}
        figure.add_trace(go.Scatter(x=[intensity], y=[rate], name=plotly_name(label), mode="markers", marker=marker))
    figure.update_layout(showlegend=True, width=780)
    figure.layout.margin.r = 70 + 7 * min(LONGEST_NAME, max(len(str(name)) for name in names))
    return figure
