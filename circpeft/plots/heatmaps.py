"""Heatmaps of matrices, alone or side by side, as plotly figures."""

import numpy as np
import plotly.graph_objects as go

from .style import PANEL, TEMPLATE, as_matrix, color_range, thin

MOST_NUMBERS = 12  # rows or columns of a matrix that still has its numbers written in the cells
SMALLEST_FONT = 8.0  # pixels


def written(array, like=None):
    """The cells as text with as few decimals (at most two) as show them, or None for a matrix with too many cells.

    `like`: choose the decimals for these values instead, so that several matrices match.

    >>> written(np.array([[1.0, -2.5]]))
    [['1.0', '−2.5']]
    """
    if max(array.shape) > MOST_NUMBERS:
        return None
    known = array if like is None else like
    known = known[np.isfinite(known)]
    digits = next((d for d in (0, 1) if np.allclose(known, np.round(known, d), rtol=0, atol=1e-9)), 2)
    # + 0.0 turns a rounded -0.00 into 0.00.
    cells = [["" if np.isnan(v) else f"{np.round(v, digits) + 0.0:.{digits}f}" for v in row] for row in array]
    return [[cell.replace("-", "\u2212") for cell in row] for row in cells]


def heat(array, lowest, highest, scale, axis="", cell=0.0, words=None, **options):
    """One heatmap trace on the axes `x<axis>` and `y<axis>`, whose cells are `cell` pixels wide.

    `words` (see `written`) go into the cells in a size that fits, or are left out where none does.
    """
    longest = max((len(word) for row in words for word in row), default=1) if words is not None else 0
    font = min(13.0, 0.92 * cell / (0.64 * max(longest, 1)), 0.6 * cell)
    if font < SMALLEST_FONT:
        words = None
    gap = 1 if max(array.shape) <= 32 else 0
    return go.Heatmap(
        z=array.astype(np.float32),
        zmin=lowest,
        zmax=highest,
        colorscale=scale,
        xgap=gap,
        ygap=gap,
        text=words,
        texttemplate="%{text}" if words is not None else None,
        textfont={"size": font} if words is not None else None,
        hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>",
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        **options,
    )


def matrix_axes(rows, columns, axis="", step=1, square=True, x_domain=(0, 1), y_domain=(0, 1)):
    """The two axes of a heatmap: row 0 on top, whole-number ticks (times `step`), square cells if asked for."""
    sides = {}
    for letter, count, other in (("x", columns, "y"), ("y", rows, "x")):
        every = max(1, -(-count // 8)) if count > 16 else 1
        at = list(range(0, count, every))
        side = {"tickmode": "array", "tickvals": at, "ticktext": [str(v * step) for v in at]}
        side |= {"showgrid": False, "ticks": "", "showline": False, "tickfont": {"size": 11}}
        sides[letter] = {**side, "anchor": f"{other}{axis}", "range": [-0.5, count - 0.5]}
    sides["x"]["domain"], sides["y"]["domain"] = list(x_domain), list(y_domain)
    sides["y"]["range"] = [rows - 0.5, -0.5]
    if square:
        sides["x"]["constrain"] = "domain"
        sides["y"].update(scaleanchor=f"x{axis}", constrain="domain")
    return {f"xaxis{axis}": sides["x"], f"yaxis{axis}": sides["y"]}


def matrix(a, title="", signed=None, numbers=True):
    """Heatmap of one matrix (or vector, shown as a row), row 0 on top.

    Signed data get a diverging colour map centred at zero, other data one that starts at zero; `signed` overrides.
    Small matrices carry their numbers unless `numbers=False`; above 256 a side only every k-th row and column is
    shown, and the title says so.

    Args:
        a: (rows, columns) or (columns,), array or tensor of real numbers, any float or integer dtype.
    Raises:
        ValueError: if `a` has more than two axes or no entry. TypeError: if it is complex.

    >>> matrix([[1.0, -2.0], [0.0, 3.0]], "A").data[0].zmin
    -3.0
    """
    return matrices([(title, a)], signed=signed, numbers=numbers)


def matrices(items, title="", signed=None, numbers=True):
    """Heatmaps side by side under one colour scale, each with its own title.

    Args:
        items: list of (title, array) pairs; arrays as in `matrix`.
    Raises:
        ValueError: if there is no item.

    >>> len(matrices([("A", [[1.0]]), ("B", [[2.0]])]).data)
    2
    """
    if not items:
        raise ValueError("matrices() needs at least one (title, array) pair")
    shown = [(name, *thin(as_matrix(values, name or "matrix"))) for name, values in items]
    shown = [(f"{name} (1 row and column in {step})" if step > 1 else name, array, step) for name, array, step in shown]
    lowest, highest, scale = color_range([array for _, array, _ in shown], signed)
    side = {1: 360, 2: 290, 3: 205}.get(len(shown), 150)  # pixels: a notebook's column is about 860 wide
    cell = min(58.0, side / max(max(array.shape[0] / 1.2, array.shape[1]) for _, array, _ in shown))
    tall = max(max(array.shape[0] for _, array, _ in shown) * cell, 42.0)
    # Cells of one size where the shapes allow it, but no panel narrower than its title (a lone one has margins too).
    spare = 140 if len(shown) == 1 else 0
    widths = [max(array.shape[1] * cell, 8.5 * len(name) - spare, 40.0) for name, array, _ in shown]
    gap = 48
    wide = sum(widths) + gap * (len(widths) - 1)
    layout = go.Layout(template=TEMPLATE, title={"text": title}, plot_bgcolor=PANEL, annotations=[])
    layout.margin = {"l": 48, "r": 96, "t": 66 if title else 36, "b": 30}
    layout.width, layout.height = round(wide) + 144, round(tall) + (96 if title else 66)
    figure, left = go.Figure(layout=layout), 0.0
    bar = {"thickness": 14, "outlinewidth": 0, "x": 1 + 16 / wide, "xpad": 0, "len": 1, "ypad": 0}
    bar["nticks"] = 7 if tall > 200 else 3
    for i, ((name, array, step), width) in enumerate(zip(shown, widths, strict=True)):
        rows, columns = array.shape
        axis = "" if i == 0 else str(i + 1)
        last = i == len(shown) - 1
        cell = min(width / columns, tall / rows)
        words = written(array) if numbers else None
        options = {"showscale": last, "colorbar": bar if last else None}
        figure.add_trace(heat(array, lowest, highest, scale, axis, cell, words, **options))
        square = max(rows, columns) <= 12 * min(rows, columns)
        domain = (left / wide, (left + width) / wide)
        figure.update_layout(matrix_axes(rows, columns, axis, step, square, x_domain=domain))
        place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 1.0, "yshift": 4}
        look = {"xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 14}}
        figure.add_annotation(text=name, **place, **look)
        left += width + gap
    return figure
