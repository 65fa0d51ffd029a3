"""The animation of a circulant matrix that is built row by row, and multiplied by a vector."""

import numpy as np
import plotly.graph_objects as go

from .animations import animation
from .heatmaps import cell_texts, heatmap_trace, matrix_axes
from .style import INK, PANEL, TEMPLATE, as_array, color_range

MAX_BLOCK_SIZE = 16  # larger circulants are too small on the screen to follow


def _circulant_layout(b, cell):
    """Return the layout of `circulant_animation`, with C, the kernel above it, and x and y beside it.

    Returns: the layout, its width in cells, and the height of C as a share of the plot area. All cells are squares of
    `cell` pixels.
    """
    width, height = b + 4.0, b + 1.8
    spans = {"": (0, b), "2": (0, b), "3": (b + 1, b + 2), "4": (b + 3, b + 4)}
    layout = go.Layout(template=TEMPLATE, plot_bgcolor=PANEL, showlegend=False)
    layout.margin = {"l": 30, "r": 30, "t": 66, "b": 16}
    layout.width, layout.height = round(width * cell) + 60, round(height * cell) + 82
    for axis, (left, right) in spans.items():
        rows, vertical = (1, (1 - 1 / height, 1)) if axis == "2" else (b, (0, b / height))
        horizontal = (left / width, right / width)
        axes = matrix_axes(rows, right - left, axis, square=False, x_domain=horizontal, y_domain=vertical)
        for each in axes.values():
            each["showticklabels"] = False
        layout.update(axes)
    return layout, width, b / height


def _outline(row, first, last, axis, visible):
    """Return a frame around the cells from `first` to `last` of a row; its points are empty if it is not visible."""
    corners = [(first, -0.5), (last, -0.5), (last, 0.5), (first, 0.5), (first, -0.5)]
    x, y = zip(*((column, row + offset) for column, offset in corners), strict=True)
    blank = [None] * len(x)
    line = {"color": INK, "width": 3}
    style = {"mode": "lines", "line": line, "hoverinfo": "skip", "cliponaxis": False}
    return go.Scatter(x=x if visible else blank, y=y if visible else blank, xaxis=f"x{axis}", yaxis=f"y{axis}", **style)


def _label(text, x, y, **kwargs):
    """Return an annotation above a point of the plot area, in shares of its width and height."""
    style = {
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "yanchor": "bottom",
        "yshift": 3,
        "font": {"size": 14},
    }
    return {"text": text, "x": x, "y": y, "xanchor": "center", **style, **kwargs}


def circulant_animation(c, x, layout="column", fps=2):
    """Return an animation that builds a circulant matrix from its shifted kernel, row by row, and computes y = C x.

    With `layout="column"`, c is the first column: C[i, j] = c[(i - j) mod b], and each row is the kernel read backwards
    and shifted. With `layout="row"`, c is the first row: C[i, j] = c[(j - i) mod b].

    Args:
        c, x: (b,) real arrays or tensors, 2 <= b <= 16.
    Raises:
        ValueError: if the shapes do not match, b is out of range, or the layout is neither "row" nor "column".

    >>> len(circulant_animation([1, 2, 0], [1, 0, 1]).frames)
    7
    """
    c, x = as_array(c, "c"), as_array(x, "x")
    if c.ndim != 1 or c.shape != x.shape:
        raise ValueError(f"c has shape {c.shape} and x {x.shape}; give two vectors of the same length")
    b = len(c)
    if not 2 <= b <= MAX_BLOCK_SIZE:
        raise ValueError(f"b is {b}; the animation needs a length from 2 to {MAX_BLOCK_SIZE}")
    if layout not in ("row", "column"):
        raise ValueError(f"layout is {layout!r}; expected 'row' or 'column'")
    i, j = np.arange(b)[:, None], np.arange(b)[None, :]
    full = c[(j - i) % b] if layout == "row" else c[(i - j) % b]
    product = full @ x
    cell = 50 if b <= 8 else 38
    stage, width, matrix_top = _circulant_layout(b, cell)
    # y has a colour range of its own: it is often much larger than c and x, which would look pale in that range.
    ranges = {"c": color_range([full], True), "x": color_range([x], True), "y": color_range([product], True)}
    kernel = "kernel" if layout == "row" else "kernel read backwards"

    def still(rows, entries):
        row = max(rows - 1, 0)
        matrix, y = np.full((b, b), np.nan), np.full((b, 1), np.nan)
        matrix[:rows], y[:entries, 0] = full[:rows], product[:entries]
        figure = go.Figure(layout=stage)
        for values, axis, name, final in (
            (matrix, "", "c", full),
            (full[row][None], "2", "c", full),
            (x[:, None], "3", "x", x),
            (y, "4", "y", product),
        ):
            texts = cell_texts(values, like=final)
            figure.add_trace(heatmap_trace(values, *ranges[name], axis, cell, texts, showscale=False))
        in_progress = rows > 0 and not entries == rows == b
        figure.add_trace(_outline(row, -0.5, b - 0.5, "", in_progress))
        figure.add_trace(_outline(row, -0.5, 0.5, "4", in_progress and entries == rows))
        shifted_kernel = f"{kernel}, shifted by {row}" if row else kernel
        sign = {"font": {"size": 22}, "yanchor": "middle", "yshift": 0}
        figure.layout.annotations = [
            _label(shifted_kernel, b / 2 / width, 1),
            _label("C", b / 2 / width, matrix_top),
            _label("x", (b + 1.5) / width, matrix_top),
            _label("y", (b + 3.5) / width, matrix_top),
            _label("\u00d7", (b + 0.5) / width, matrix_top / 2, **sign),
            _label("=", (b + 2.5) / width, matrix_top / 2, **sign),
        ]
        if rows == 0:
            title = "One vector makes a whole matrix"
        elif entries < rows:
            title = f"Row {row} of C: the {shifted_kernel}"
        elif entries < b:
            title = f"y[{row}] = row {row} of C, times x"
        else:
            title = f"{b} numbers make {b} \u00d7 {b} entries: y = C x"
        figure.layout.title.text = title
        return figure

    steps = [(0, 0)] + [(row + 1, row + computed) for row in range(b) for computed in (0, 1)]  # rows of C, entries of y
    names = ["start"] + [f"{part} {row}" for row in range(b) for part in ("row", "y")]
    return animation([still(*step) for step in steps], names, fps=fps)
