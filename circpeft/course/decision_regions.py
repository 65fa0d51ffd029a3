"""The plane coloured by the class that a network predicts, several networks side by side, for notebook 06."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from torch import Tensor

from ..plots.style import INK, TEMPLATE

# Eight colours that also differ in lightness; the palette of all other figures has seven.
CLASS_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999", "#ee9944")
WIDTH, HEIGHT, GAP = 780, 330, 0.03  # JupyterLab with its file browser leaves 868 pixels in a window of 1,300


def clusters(points: Tensor, labels: Tensor, title: str = "") -> go.Figure:
    """Draw labelled points of the plane, one colour for each class. Shapes: points (n, 2), labels (n,).

    >>> import torch
    >>> len(clusters(torch.zeros(4, 2), torch.tensor([0, 1, 1, 2])).data)
    3
    """
    drawn = go.Figure(layout={"template": TEMPLATE, "width": 560, "height": 460, "title": title})
    for k in range(int(labels.max()) + 1):
        x, y = points[labels == k].T
        style = {"size": 7, "color": CLASS_COLORS[k % len(CLASS_COLORS)]}
        drawn.add_scatter(x=x.numpy(), y=y.numpy(), mode="markers", name=f"class {k}", marker=style)
    drawn.update_xaxes(title="x1")
    drawn.update_yaxes(title="x2", scaleanchor="x")
    return drawn


def regions(planes: Mapping[str, Tensor], axis: Tensor, points: Tensor, title: str = "") -> go.Figure:
    """Draw one panel for each network: the predicted class at every place, and the points.

    Args:
        planes: by the panel's caption, the predicted classes ``(side, side)``; rows are x2, columns x1.
        axis: the coordinates ``(side,)`` of both axes.
        points: ``(n, 2)``.
        title: title of the figure.

    >>> import torch
    >>> drawn = regions({"a": torch.zeros(3, 3), "b": torch.ones(3, 3)}, torch.linspace(-1, 1, 3), torch.zeros(5, 2))
    >>> [trace.type for trace in drawn.data]
    ['heatmap', 'scatter', 'heatmap', 'scatter']
    """
    classes, count = len(CLASS_COLORS), len(planes)
    scale = [[(k + end) / classes, CLASS_COLORS[k]] for k in range(classes) for end in (0, 1)]
    side, width = axis.numpy(), (1 - GAP * (count - 1)) / count
    drawn = go.Figure(layout={"template": TEMPLATE, "width": WIDTH, "height": HEIGHT, "showlegend": False})
    drawn.update_layout(title={"text": title, "x": 0.5}, margin={"l": 20, "r": 20, "t": 80, "b": 20}, annotations=[])
    for i, (caption, plane) in enumerate(planes.items()):
        number, left = "" if i == 0 else str(i + 1), i * (width + GAP)
        axes = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        colors = {"zmin": -0.5, "zmax": classes - 0.5, "colorscale": scale, "showscale": False}
        hover = "class %{z}<extra></extra>"
        drawn.add_heatmap(z=plane.float().numpy(), x=side, y=side, hovertemplate=hover, **colors, **axes)
        marker = {"size": 4, "color": INK}
        x, y = points.T.numpy()
        drawn.add_scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip", **axes)
        span = {"range": [float(side[0]), float(side[-1])], "showticklabels": False, "ticks": "", "showgrid": False}
        drawn.layout[f"xaxis{number}"] = {**span, "domain": [left, left + width], "anchor": f"y{number}"}
        drawn.layout[f"yaxis{number}"] = {**span, "domain": [0, 1], "anchor": f"x{number}"}
        place = {"xref": "paper", "yref": "paper", "yanchor": "bottom", "showarrow": False}
        drawn.add_annotation(text=caption, x=left + width / 2, y=1.01, **place)
    return drawn
