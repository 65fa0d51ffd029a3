"""Heatmaps of one matrix, or of several side by side, as plotly figures."""

import numpy as np
import plotly.graph_objects as go

from ..escaping import plotly
from .style import PANEL, TEMPLATE, as_matrix, color_range, thin

MAX_SIDE_WITH_NUMBERS = 12  # larger matrices have no numbers in their cells
MIN_FONT_SIZE = 8.0  # pixels


def cell_texts(array, like=None):
    """Return the numbers of a matrix as texts with as few decimals as possible (at most two); None for a large matrix.

    Args:
        like: values that determine the number of decimals instead of `array`, so that several matrices match.

    >>> cell_texts(np.array([[1.0, -2.5]]))
    [['1.0', '−2.5']]
    """
    if max(array.shape) > MAX_SIDE_WITH_NUMBERS:
        return None
    values = array if like is None else like
    values = values[np.isfinite(values)]
    digits = next((d for d in (0, 1) if np.allclose(values, np.round(values, d), rtol=0, atol=1e-9)), 2)
    # Adding 0.0 turns a rounded -0.00 into 0.00.
    cells = [["" if np.isnan(v) else f"{np.round(v, digits) + 0.0:.{digits}f}" for v in row] for row in array]
    return [[cell.replace("-", "\u2212") for cell in row] for row in cells]


def heatmap_trace(array, lowest, highest, scale, axis="", cell=0.0, texts=None, **options):
    """Return a heatmap trace on the axes `x<axis>` and `y<axis>`.

    Args:
        array: (rows, columns).
        lowest, highest, scale: the colour range, as `color_range` returns it.
        cell: width of a cell in pixels.
        texts: numbers for the cells (see `cell_texts`), in a font that fits; they are dropped if none does.
        options: further options of `go.Heatmap`.
    """
    longest = max((len(text) for row in texts for text in row), default=1) if texts is not None else 0
    font = min(13.0, 0.92 * cell / (0.64 * max(longest, 1)), 0.6 * cell)
    if font < MIN_FONT_SIZE:
        texts = None
    gap = 1 if max(array.shape) <= 32 else 0
    return go.Heatmap(
        z=array.astype(np.float32),
        zmin=lowest,
        zmax=highest,
        colorscale=scale,
        xgap=gap,
        ygap=gap,
        text=texts,
        texttemplate="%{text}" if texts is not None else None,
        textfont={"size": font} if texts is not None else None,
        hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>",
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        **options,
    )


def matrix_axes(rows, columns, axis="", step=1, square=True, x_domain=(0, 1), y_domain=(0, 1)):
    """Return the two axes of a heatmap, with row 0 on top and whole-number ticks.

    Args:
        axis: suffix of the axes' names, such as "2".
        step: factor of the tick labels, for a thinned matrix.
        square: whether the cells are squares.
        x_domain, y_domain: the part of the plot area that the heatmap covers.
    """
    sides = {}
    for letter, count, other in (("x", columns, "y"), ("y", rows, "x")):
        distance = max(1, -(-count // 8)) if count > 16 else 1
        ticks = list(range(0, count, distance))
        side = {"tickmode": "array", "tickvals": ticks, "ticktext": [str(v * step) for v in ticks]}
        side |= {"showgrid": False, "ticks": "", "showline": False, "tickfont": {"size": 11}}
        sides[letter] = {**side, "anchor": f"{other}{axis}", "range": [-0.5, count - 0.5]}
    sides["x"]["domain"], sides["y"]["domain"] = list(x_domain), list(y_domain)
    sides["y"]["range"] = [rows - 0.5, -0.5]
    if square:
        sides["x"]["constrain"] = "domain"
        sides["y"].update(scaleanchor=f"x{axis}", constrain="domain")
    return {f"xaxis{axis}": sides["x"], f"yaxis{axis}": sides["y"]}


def matrix(a, title="", signed=None, numbers=True):
    """Draw a heatmap of one matrix, with row 0 on top. A vector is drawn as one row.

    Data with negative values get a diverging colour scale centred at zero, other data a scale that starts at zero;
    `signed` overrides this. The cells of small matrices show their numbers unless `numbers=False`. Of a matrix with
    more than 256 rows or columns, only every k-th is shown, and the title says so.

    Args:
        a: (rows, columns) or (columns,), array or tensor of real numbers, any float or integer dtype.
    Raises:
        ValueError: if `a` has more than two axes or no entries.
        TypeError: if it is complex.

    >>> matrix([[1.0, -2.0], [0.0, 3.0]], "A").data[0].zmin
    -3.0
    """
    return matrices([(title, a)], signed=signed, numbers=numbers)


def matrices(items, title="", signed=None, numbers=True):
    """Draw heatmaps side by side with one colour scale, each with its own title.

    Args:
        items: list of (title, array) pairs, with arrays as in `matrix`.
        title: title of the whole figure.
        signed, numbers: as in `matrix`.
    Raises:
        ValueError: if `items` is empty, or for an array that `matrix` rejects.
        TypeError: if an array is complex.

    >>> len(matrices([("A", [[1.0]]), ("B", [[2.0]])]).data)
    2
    """
    if not items:
        raise ValueError("matrices() needs at least one (title, array) pair")
    shown = [(name, *thin(as_matrix(values, name or "matrix"))) for name, values in items]
    shown = [
        (name + f" (1 row and column in {step})" if step > 1 else name, array, step) for name, array, step in shown
    ]
    lowest, highest, scale = color_range([array for _, array, _ in shown], signed)
    side = {1: 360, 2: 290, 3: 205}.get(len(shown), 150)  # pixels; a notebook's column is about 860 wide
    cell = min(58.0, side / max(max(array.shape[0] / 1.2, array.shape[1]) for _, array, _ in shown))
    height = max(max(array.shape[0] for _, array, _ in shown) * cell, 42.0)
    # All cells have one size if the shapes allow it, but no panel is narrower than its title. A single panel can use
    # the margins for its title.
    spare = 140 if len(shown) == 1 else 0
    widths = [max(array.shape[1] * cell, 8.5 * len(name) - spare, 40.0) for name, array, _ in shown]
    gap = 48
    full_width = sum(widths) + gap * (len(widths) - 1)
    layout = go.Layout(template=TEMPLATE, title={"text": plotly(title)}, plot_bgcolor=PANEL, annotations=[])
    layout.margin = {"l": 48, "r": 96, "t": 66 if title else 36, "b": 30}
    layout.width, layout.height = round(full_width) + 144, round(height) + (96 if title else 66)
    figure, left = go.Figure(layout=layout), 0.0
    bar = {"thickness": 14, "outlinewidth": 0, "x": 1 + 16 / full_width, "xpad": 0, "len": 1, "ypad": 0}
    bar["nticks"] = 7 if height > 200 else 3
    for i, ((name, array, step), width) in enumerate(zip(shown, widths, strict=True)):
        rows, columns = array.shape
        axis = "" if i == 0 else str(i + 1)
        last = i == len(shown) - 1
        cell = min(width / columns, height / rows)
        texts = cell_texts(array) if numbers else None
        options = {"showscale": last, "colorbar": bar if last else None}
        figure.add_trace(heatmap_trace(array, lowest, highest, scale, axis, cell, texts, **options))
        square = max(rows, columns) <= 12 * min(rows, columns)
        domain = (left / full_width, (left + width) / full_width)
        figure.update_layout(matrix_axes(rows, columns, axis, step, square, x_domain=domain))
        position = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 1.0, "yshift": 4}
        style = {"xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 14}}
        figure.add_annotation(text=plotly(name), **position, **style)
        left += width + gap
    return figure
