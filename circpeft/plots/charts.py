"""Charts of lines, bars, points and singular values, as plotly figures of given numbers.

Texts are shown as they are written: titles and labels may come from data. A `markupsafe.Markup` may hold plotly's tags.
"""

import numpy as np
import plotly.graph_objects as go

from ..escaping import LONGEST_NAME, plotly, plotly_name
from .style import (
    COLORS,
    DASHES,
    INK,
    MARKERS,
    TEMPLATE,
    as_array,
    epsilon,
    translucent,
)


def _layout(title, width, height, **kwargs):
    return go.Layout(template=TEMPLATE, title={"text": plotly(title)}, width=width, height=height, **kwargs)


def _legend_margin(labels):
    """Return a right margin that fits the legend, so that the plot area is the same in both forms of the figure."""
    return 24 if len(labels) < 2 else 70 + 7 * min(LONGEST_NAME, max(len(str(label)) for label in labels))


def _check_series(series):
    """Return {label: (x, y, (below, above) or None)} with arrays of equal length."""
    checked = {}
    for label, entry in series.items():
        if len(entry) not in (2, 3):
            raise ValueError(f"{label!r} has {len(entry)} parts; give (x, y) or (x, y, spread)")
        x, y, spread = (*entry, None)[:3]
        x = list(map(plotly, x)) if len(x) and isinstance(x[0], str) else as_array(x, f"x of {label!r}")
        y = as_array(y, f"y of {label!r}")
        if len(x) != len(y):
            raise ValueError(f"{label!r} has {len(x)} values of x and {len(y)} of y; give as many of each")
        if spread is not None:
            sides = as_array(spread, f"spread of {label!r}")
            sides = sides if sides.ndim == 2 else (sides, sides)
            if len(sides) != 2:
                raise ValueError(f"spread of {label!r} has {len(sides)} rows; give one spread, or (below, above)")
            spread = tuple(np.broadcast_to(side, y.shape) for side in sides)
        checked[label] = (x, y, spread)
    return checked


def _axes(x_title, y_title, log_x, log_y):
    # Ticks only at powers of ten: plotly's ticks at 2 and 5 crowd small figures.
    scales = [{"type": "log", "dtick": 1, "exponentformat": "power"} if log else {} for log in (log_x, log_y)]
    return {
        "xaxis": {"title": {"text": plotly(x_title)}, **scales[0]},
        "yaxis": {"title": {"text": plotly(y_title)}, **scales[1]},
    }


def lines(series, title="", x_title="", y_title="", log_x=False, log_y=False, markers=None):
    """Draw lines, with a band from y - spread to y + spread if a spread is given.

    Args:
        series: {label: (x, y)} or {label: (x, y, spread)}, with 1-D arrays of equal length. The spread may be a number,
            or a pair (below, above) of arrays.
        title, x_title, y_title: texts of the figure and its axes.
        log_x, log_y: use a logarithmic axis.
        markers: draw a marker at each point; by default if no line has more than 30 points.
    Raises:
        ValueError: if the arrays of a series differ in length.

    >>> lines({"loss": ([0, 1], [1.0, 0.5])}, y_title="loss").data[0].name
    'loss'
    """
    series = _check_series(series)
    axes = _axes(x_title, y_title, log_x, log_y)
    figure = go.Figure(layout=_layout(title, 720, 400, showlegend=len(series) > 1, **axes))
    figure.layout.margin.r = _legend_margin(series)
    if markers is None:
        markers = max((len(y) for _, y, _ in series.values()), default=0) <= 30
    for i, (label, (x, y, spread)) in enumerate(series.items()):
        color = COLORS[i % len(COLORS)]
        if spread is not None:
            below, above = spread
            outline = np.concatenate([y - below, (y + above)[::-1]])
            visible = np.concatenate([outline, y])
            if log_y and (visible > 0).any():  # a log axis has no zero: the band ends at the lowest value above it
                outline = np.maximum(outline, visible[visible > 0].min())
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=outline,
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=translucent(color, 0.18),
                hoverinfo="skip",
                showlegend=False,
                legendgroup=plotly(label),
            )
        figure.add_scatter(
            x=x,
            y=y,
            name=plotly_name(label),
            legendgroup=plotly(label),
            mode="lines+markers" if markers else "lines",
            line={"color": color, "width": 2.2, "dash": DASHES[i // len(COLORS) % len(DASHES)]},
            marker={"symbol": MARKERS[i % len(MARKERS)], "size": 7, "color": color},
        )
    return figure


def bars(values, spread=None, title="", x_title="", y_title="", log_y=False, y_range=None):
    """Draw grouped bars with one colour per series and one group per category.

    Args:
        values: {series: {category: number}}; a missing category leaves a gap.
        spread: {series: {category: number}} for whiskers from value - spread to value + spread, or None. In place of
            a number, a pair (below, above) may stand.
        title, x_title, y_title: texts of the figure and its axes.
        log_y: use a logarithmic y axis.
        y_range: (low, high), or None for an automatic range.

    >>> bars({"C3A": {"rte": 0.8}, "LoRA": {"rte": 0.7}}).layout.barmode
    'group'
    """
    categories = list(dict.fromkeys(str(c) for row in values.values() for c in row))
    axes = _axes(x_title, y_title, False, log_y)
    axes["xaxis"].update(type="category", showgrid=False)
    if y_range is not None:
        axes["yaxis"]["range"] = list(np.log10(y_range)) if log_y else list(y_range)
    width = min(860, max(560, 160 + 34 * len(categories) * len(values)))  # what JupyterLab has beside its file browser
    figure = go.Figure(layout=_layout(title, width, 400, barmode="group", bargap=0.25, bargroupgap=0.06, **axes))
    figure.layout.showlegend = len(values) > 1
    figure.layout.margin.r = _legend_margin(values)
    for i, (label, row) in enumerate(values.items()):
        row = {str(category): value for category, value in row.items()}
        spread_of = {str(category): value for category, value in ((spread or {}).get(label) or {}).items()}
        below, above = as_array([np.broadcast_to(spread_of.get(c, 0.0), 2) for c in categories]).reshape(-1, 2).T
        error = {"type": "data", "array": above, "arrayminus": below, "color": INK, "thickness": 1.3, "width": 4}
        figure.add_bar(
            x=list(map(plotly, categories)),
            y=as_array([row.get(c, np.nan) for c in categories]),
            name=plotly_name(label),
            marker={"color": COLORS[i % len(COLORS)]},
            error_y=error if spread_of else None,
        )
    return figure


def scatter(series, title="", x_title="", y_title="", log_x=False, log_y=False, text=None):
    """Draw points, with vertical whiskers if a spread is given.

    Args:
        series: {label: (x, y)} or {label: (x, y, spread)}, as in `lines`.
        title, x_title, y_title, log_x, log_y: as in `lines`.
        text: {label: list of texts} to write beside the points, or None.
    Raises:
        ValueError: if the arrays of a series differ in length.

    >>> scatter({"run": ([1.0], [2.0])}).data[0].mode
    'markers'
    """
    series = _check_series(series)
    axes = _axes(x_title, y_title, log_x, log_y)
    figure = go.Figure(layout=_layout(title, 720, 420, showlegend=len(series) > 1, **axes))
    figure.layout.margin.r = _legend_margin(series)
    for i, (label, (x, y, spread)) in enumerate(series.items()):
        texts = (text or {}).get(label)
        color = COLORS[i % len(COLORS)]
        error = None
        if spread is not None:
            below, above = spread
            error = {"type": "data", "array": above, "arrayminus": below, "color": color, "thickness": 1.3}
        figure.add_scatter(
            x=x,
            y=y,
            name=plotly_name(label),
            mode="markers+text" if texts else "markers",
            text=texts and list(map(plotly, texts)),
            cliponaxis=False,
            textposition="middle right",
            marker={"symbol": MARKERS[i % len(MARKERS)], "size": 10, "color": color, "opacity": 0.85},
            error_y=error,
        )
    return figure


def spectrum(items, title="Singular values", y_title="singular value", relative=False):
    """Draw singular values, largest first, on a log axis. The legend shows the numerical rank of each matrix.

    The rank is the number of values above max(rows, columns) * eps * (largest value), with eps of the given dtype.

    Args:
        items: {label: matrix (rows, columns)} or {label: singular values (k,)}, arrays or tensors.
        title, y_title: texts of the figure and its y axis.
        relative: divide the values of each matrix by the largest.
    Raises:
        ValueError: for an array that is empty or has more than two axes.

    >>> spectrum({"ones": np.ones((4, 4))}).data[0].name
    'ones (rank 1 of 4)'
    """
    series = {}
    for label, values in items.items():
        array = as_array(values, str(label))
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(f"{label!r} has shape {array.shape}; give a matrix or its singular values")
        sigma = np.sort(array)[::-1] if array.ndim == 1 else np.linalg.svd(array, compute_uv=False)
        rank = int(np.sum(sigma > max(array.shape) * epsilon(values) * sigma[0]))
        if relative and sigma[0] > 0:
            sigma = sigma / sigma[0]
        # A log axis cannot show zero, so an exact zero leaves a gap.
        shown = np.where(sigma > 0, sigma, np.nan)
        series[f"{label} (rank {rank} of {len(sigma)})"] = (np.arange(1, len(sigma) + 1), shown)
    figure = lines(series, title, "index", y_title + (" / largest" if relative else ""), log_y=True)
    figure.layout.showlegend = True
    figure.layout.margin.r = _legend_margin([*series, ""])
    return figure
