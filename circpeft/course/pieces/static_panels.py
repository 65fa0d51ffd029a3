"""The static forms of pieces: a row of panels in the style of all figures."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from torch import Tensor

from ...plots.heatmaps import heatmap_trace
from ...plots.style import TEMPLATE, as_matrix, color_range


def row(titles: Sequence[str], width: int = 960, height: int = 300) -> go.Figure:
    """Return an empty figure with one panel per title, side by side."""
    panels = make_subplots(rows=1, cols=len(titles), horizontal_spacing=0.2 / len(titles), subplot_titles=list(titles))
    margin = {"l": 44, "r": 10, "t": 44, "b": 36}
    return panels.update_layout(template=TEMPLATE, width=width, height=height, margin=margin, showlegend=False)


def with_legend(panels: go.Figure) -> go.Figure:
    """Return the figure with a legend of its named traces below the panels, and room for it."""
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": -0.2, "yanchor": "top"}
    return panels.update_layout(showlegend=True, legend=legend, height=panels.layout.height + 40, margin={"b": 80})


def add_stems(figure: go.Figure, column: int, values: Sequence[float], color: str) -> None:
    """Add a bar for each entry of a vector to a panel."""
    figure.add_bar(x=list(range(len(values))), y=list(values), marker={"color": color}, row=1, col=column)
    figure.update_xaxes(dtick=max(1, len(values) // 4), showgrid=False, row=1, col=column)


def add_matrix(
    figure: go.Figure, column: int, matrix: Sequence[Sequence[float]] | Tensor, limit: float | None = None
) -> None:
    """Add a heatmap to a panel; `limit` is the absolute value with the strongest colour, by default the largest."""
    array = as_matrix(matrix)
    lowest, highest, colors = color_range([array], signed=True)
    if limit is not None:
        lowest, highest = -limit, limit
    figure.add_trace(heatmap_trace(array, lowest, highest, colors, showscale=False), row=1, col=column)
    figure.update_xaxes(dtick=max(1, array.shape[1] // 4), showgrid=False, row=1, col=column)
    figure.update_yaxes(dtick=max(1, array.shape[0] // 4), showgrid=False, autorange="reversed", row=1, col=column)
