"""Animated figures: a general one made of finished figures, and a circulant matrix built row by row."""

import numpy as np
import plotly.graph_objects as go

from ..escaping import plotly
from .heatmaps import cell_texts, heatmap_trace, matrix_axes
from .style import INK, PANEL, TEMPLATE, as_array, color_range

MAX_BLOCK_SIZE = 16  # larger circulants are too small on the screen to follow


def _common_range(figures, letter, key):
    """Return the range of an axis that fits the lines and bars of all frames, or None if no frame has values on it."""
    axis = figures[0].layout[key] if key in figures[0].layout else None
    log = axis is not None and axis.type == "log"
    parts = []
    for trace in (trace for figure in figures for trace in figure.data):
        values = getattr(trace, letter)
        if trace.type == "heatmap" or (getattr(trace, f"{letter}axis") or letter) != key.replace("axis", ""):
            continue
        values = np.asarray(values if values is not None else [])
        if values.size == 0 or values.dtype.kind not in "biuf":
            continue
        error = getattr(trace, f"error_{letter}")
        whisker = 0.0 if error is None or error.array is None else np.asarray(error.array, dtype=float)
        parts += [values - whisker, values + whisker]
        if trace.type == "bar" and letter == "y":
            parts.append(np.zeros(1))
    if not parts or (axis is not None and axis.range is not None):
        return None
    numbers = np.concatenate([part[np.isfinite(part)] for part in parts])
    if log:
        numbers = np.log10(numbers[numbers > 0])
    if numbers.size == 0:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    pad = 0.05 * (high - low) or 0.5
    bars = any(trace.type == "bar" for trace in figures[0].data)
    if bars and letter == "x":
        return [low - 0.5, high + 0.5]
    return [0.0 if bars and low == 0 else low - pad, high + pad]


def _controls(names, fps, space_below, width):
    """Return the play and pause buttons and the slider of an animation."""
    play = {"frame": {"duration": round(1000 / fps), "redraw": True}, "transition": {"duration": 0}}
    stop = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate", "transition": {"duration": 0}}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, {**play, "fromcurrent": True}]},
        {"label": "Pause", "method": "animate", "args": [[None], stop]},
    ]
    steps = [{"label": name, "method": "animate", "args": [[name], stop]} for name in names]
    position = {"x": 0, "y": 0, "xanchor": "left", "yanchor": "top"}
    menu = {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "buttons": buttons,
        "pad": {"t": space_below + 10},
        **position,
    }
    left = min(0.5, 140 / width)  # to the right of the buttons
    style = {
        "x": left,
        "len": 1 - left,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": space_below},
        "currentvalue": {"visible": False},
    }
    return [menu], [{"steps": steps, "active": 0, "font": {"size": 10}, **style}]


def animation(frames, names=None, title=None, fps=3):
    """Return a figure that plays several figures, with a play button and a slider. Its static form is a GIF.

    Titles, annotations and shapes change from frame to frame. Heatmap colours and axis ranges are the same in all
    frames, so that nothing jumps.

    Args:
        frames: plotly figures with the same traces in the same order; the first one's layout is used.
        names: a label per frame for the slider; by default 1, 2, ...
        title: one title for all frames, instead of their own titles.
        fps: frames per second, above 0 and at most 50.
    Raises:
        ValueError: if there are no frames, if their traces differ in number or type, if names do not match the frames,
            or if fps is out of range.

    >>> still = [go.Figure(go.Scatter(y=[0, k])) for k in range(3)]
    >>> len(animation(still).frames)
    3
    """
    frames = list(frames)
    if not frames:
        raise ValueError("animation() needs at least one figure")
    kinds = [[trace.type for trace in figure.data] for figure in frames]
    for k, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(f"frame {k} has traces {kind}, frame 0 has {kinds[0]}; all frames need the same traces")
    names = [str(k + 1) for k in range(len(frames))] if names is None else [str(name) for name in names]
    if len(names) != len(frames) or len(set(names)) != len(names):
        raise ValueError(
            f"{len(names)} names ({len(set(names))} different) for {len(frames)} frames; give each a name of its own"
        )
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps}; expected a number above 0 and at most 50")
    figure = go.Figure(frames[0])
    for i, trace in enumerate(figure.data):
        if trace.type == "heatmap":
            highest = [other.data[i].zmax for other in frames if other.data[i].zmax is not None]
            lowest = [other.data[i].zmin for other in frames if other.data[i].zmin is not None]
            if highest and lowest:
                trace.update(zmin=min(lowest), zmax=max(highest))
    used = {(letter, getattr(t, f"{letter}axis") or letter) for t in figure.data for letter in "xy"}
    for letter, name in used:
        key = f"{letter}axis{name[1:]}"
        limits = _common_range(frames, letter, key)
        if limits is not None:
            figure.update_layout({key: {"range": limits}})
    if title is not None:
        figure.layout.title.text = plotly(title)
    animation_frames = []
    for name, still in zip(names, frames, strict=True):
        data = [trace.to_plotly_json() for trace in still.data]
        for part, trace in zip(data, figure.data, strict=True):
            if part["type"] == "heatmap":
                part.update(zmin=trace.zmin, zmax=trace.zmax)
        layout = {"annotations": still.layout.annotations, "shapes": still.layout.shapes}
        if title is None:
            layout["title"] = {"text": still.layout.title.text}
        animation_frames.append(go.Frame(data=data, layout=layout, name=name))
    figure.frames = animation_frames
    space_below = figure.layout.margin.b if figure.layout.margin.b is not None else TEMPLATE.layout.margin.b
    menus, sliders = _controls(names, fps, space_below, (figure.layout.width or 720) - 100)
    figure.update_layout(updatemenus=menus, sliders=sliders, meta={"fps": fps})
    # Room for the controls; the static form has none and is cropped.
    figure.update_layout(height=(figure.layout.height or 400) + 76, margin_b=space_below + 76)
    return figure


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
