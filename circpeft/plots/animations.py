"""Figures that move: frames from finished figures, and the course's first one, a circulant being built."""

import numpy as np
import plotly.graph_objects as go

from .heatmaps import heat, matrix_axes, written
from .style import INK, PANEL, TEMPLATE, as_array, color_range

LARGEST_MOVING = 16


def _span(figures, letter, key):
    """A fixed range over all frames for an axis of lines or bars, or an axis that jumps; None if it needs none."""
    axis = figures[0].layout[key] if key in figures[0].layout else None
    log = axis is not None and axis.type == "log"
    found = []
    for trace in (trace for figure in figures for trace in figure.data):
        values = getattr(trace, letter)
        if trace.type == "heatmap" or (getattr(trace, f"{letter}axis") or letter) != key.replace("axis", ""):
            continue
        values = np.asarray(values if values is not None else [])
        if values.size == 0 or values.dtype.kind not in "biuf":
            continue
        error = getattr(trace, f"error_{letter}")
        whisker = 0.0 if error is None or error.array is None else np.asarray(error.array, dtype=float)
        found += [values - whisker, values + whisker]
        if trace.type == "bar" and letter == "y":
            found.append(np.zeros(1))
    if not found or (axis is not None and axis.range is not None):
        return None
    numbers = np.concatenate([part[np.isfinite(part)] for part in found])
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


def _controls(names, fps, below, wide):
    play = {"frame": {"duration": round(1000 / fps), "redraw": True}, "transition": {"duration": 0}}
    stop = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate", "transition": {"duration": 0}}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, {**play, "fromcurrent": True}]},
        {"label": "Pause", "method": "animate", "args": [[None], stop]},
    ]
    steps = [{"label": name, "method": "animate", "args": [[name], stop]} for name in names]
    place = {"x": 0, "y": 0, "xanchor": "left", "yanchor": "top"}
    menu = {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "buttons": buttons,
        "pad": {"t": below + 10},
        **place,
    }
    left = min(0.5, 140 / wide)  # right of the two buttons
    look = {
        "x": left,
        "len": 1 - left,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": below},
        "currentvalue": {"visible": False},
    }
    return [menu], [{"steps": steps, "active": 0, "font": {"size": 10}, **look}]


def animation(frames, names=None, title=None, fps=3):
    """One figure that plays several, with a play button and a slider; its static form is a GIF.

    The frames' titles, annotations and shapes change with them. Colours of heatmaps and ranges of axes are fixed over
    all frames, so that nothing jumps.

    Args:
        frames: plotly figures with the same traces in the same order; the first one's layout is used.
        names: one label a frame for the slider; by default 1, 2, ...
        title: one title for all frames instead of their own.
        fps: frames a second, above 0.
    Raises:
        ValueError: if there are no frames, their traces differ in number or type, or names do not match them.

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
            raise ValueError(f"frame {k} has traces {kind}, frame 0 has {kinds[0]}; they must be the same")
    names = [str(k + 1) for k in range(len(frames))] if names is None else [str(name) for name in names]
    if len(names) != len(frames) or len(set(names)) != len(names):
        raise ValueError(f"{len(names)} names ({len(set(names))} different) for {len(frames)} frames; need one each")
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps}; expected a number above 0 and at most 50")
    figure = go.Figure(frames[0])
    for i, trace in enumerate(figure.data):
        if trace.type == "heatmap":
            tops = [other.data[i].zmax for other in frames if other.data[i].zmax is not None]
            bottoms = [other.data[i].zmin for other in frames if other.data[i].zmin is not None]
            if tops and bottoms:
                trace.update(zmin=min(bottoms), zmax=max(tops))
    used = {(letter, getattr(t, f"{letter}axis") or letter) for t in figure.data for letter in "xy"}
    for letter, name in used:
        key = f"{letter}axis{name[1:]}"
        span = _span(frames, letter, key)
        if span is not None:
            figure.update_layout({key: {"range": span}})
    if title is not None:
        figure.layout.title.text = title
    moving = []
    for name, still in zip(names, frames, strict=True):
        data = [trace.to_plotly_json() for trace in still.data]
        for part, trace in zip(data, figure.data, strict=True):
            if part["type"] == "heatmap":
                part.update(zmin=trace.zmin, zmax=trace.zmax)
        layout = {"annotations": still.layout.annotations, "shapes": still.layout.shapes}
        if title is None:
            layout["title"] = {"text": still.layout.title.text}
        moving.append(go.Frame(data=data, layout=layout, name=name))
    figure.frames = moving
    below = figure.layout.margin.b if figure.layout.margin.b is not None else TEMPLATE.layout.margin.b
    menus, sliders = _controls(names, fps, below, (figure.layout.width or 720) - 100)
    figure.update_layout(updatemenus=menus, sliders=sliders, meta={"fps": fps})
    # Room for the controls, which the static form has not and crops.
    figure.update_layout(height=(figure.layout.height or 400) + 76, margin_b=below + 76)
    return figure


def _stage(b, cell):
    """Axes for the kernel above C, and x and y beside C, all with square cells of one size, and the figure's layout."""
    wide, tall = b + 4.0, b + 1.8
    spans = {"": (0, b), "2": (0, b), "3": (b + 1, b + 2), "4": (b + 3, b + 4)}
    layout = go.Layout(template=TEMPLATE, plot_bgcolor=PANEL, showlegend=False)
    layout.margin = {"l": 30, "r": 30, "t": 66, "b": 16}
    layout.width, layout.height = round(wide * cell) + 60, round(tall * cell) + 82
    for axis, (left, right) in spans.items():
        rows, up = (1, (1 - 1 / tall, 1)) if axis == "2" else (b, (0, b / tall))
        across = (left / wide, right / wide)
        axes = matrix_axes(rows, right - left, axis, square=False, x_domain=across, y_domain=up)
        for one in axes.values():
            one["showticklabels"] = False
        layout.update(axes)
    return layout, wide, b / tall


def _outline(row, first, last, axis, shown):
    corners = [(first, -0.5), (last, -0.5), (last, 0.5), (first, 0.5), (first, -0.5)]
    x, y = zip(*((at, row + up) for at, up in corners), strict=True)
    blank = [None] * len(x)
    line = {"color": INK, "width": 3}
    look = {"mode": "lines", "line": line, "hoverinfo": "skip", "cliponaxis": False}
    return go.Scatter(x=x if shown else blank, y=y if shown else blank, xaxis=f"x{axis}", yaxis=f"y{axis}", **look)


def _label(words, x, y, **kwargs):
    look = {
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "yanchor": "bottom",
        "yshift": 3,
        "font": {"size": 14},
    }
    return {"text": words, "x": x, "y": y, "xanchor": "center", **look, **kwargs}


def circulant_animation(c, x, layout="column", fps=2):
    """A circulant matrix built row by row from its kernel as the kernel shifts, beside y = C x filling in.

    `layout="column"`: c is the first column, C[i, j] = c[(i - j) mod b], and each row is the kernel read backwards
    and shifted. `layout="row"`: c is the first row, C[i, j] = c[(j - i) mod b].

    Args:
        c, x: (b,) real arrays or tensors, 2 <= b <= 16.
    Raises:
        ValueError: if the shapes do not match, b is out of range, or the layout is neither "row" nor "column".

    >>> len(circulant_animation([1, 2, 0], [1, 0, 1]).frames)
    7
    """
    c, x = as_array(c, "c"), as_array(x, "x")
    if c.ndim != 1 or c.shape != x.shape:
        raise ValueError(f"c has shape {c.shape} and x {x.shape}; expected two vectors of the same length")
    b = len(c)
    if not 2 <= b <= LARGEST_MOVING:
        raise ValueError(f"b is {b}; a moving picture that one can follow needs 2 to {LARGEST_MOVING}")
    if layout not in ("row", "column"):
        raise ValueError(f"layout is {layout!r}; expected 'row' or 'column'")
    i, j = np.arange(b)[:, None], np.arange(b)[None, :]
    full = c[(j - i) % b] if layout == "row" else c[(i - j) % b]
    product = full @ x
    cell = 50 if b <= 8 else 38
    stage, wide, base = _stage(b, cell)
    # y has colours of its own: it is often much larger than c and x, which would look pale beside it.
    ranges = {"c": color_range([full], True), "x": color_range([x], True), "y": color_range([product], True)}
    kernel = "kernel" if layout == "row" else "kernel read backwards"

    def still(rows, entries):
        row = max(rows - 1, 0)
        matrix, y = np.full((b, b), np.nan), np.full((b, 1), np.nan)
        matrix[:rows], y[:entries, 0] = full[:rows], product[:entries]
        figure = go.Figure(layout=stage)
        strip = (full[row][None], "2", "c", full)
        for values, axis, name, whole in (
            (matrix, "", "c", full),
            strip,
            (x[:, None], "3", "x", x),
            (y, "4", "y", product),
        ):
            words = written(values, like=whole)
            figure.add_trace(heat(values, *ranges[name], axis, cell, words, showscale=False))
        going = rows > 0 and not entries == rows == b
        figure.add_trace(_outline(row, -0.5, b - 0.5, "", going))
        figure.add_trace(_outline(row, -0.5, 0.5, "4", going and entries == rows))
        steps = f"{kernel}, shifted by {row}" if row else kernel
        sign = {"font": {"size": 22}, "yanchor": "middle", "yshift": 0}
        figure.layout.annotations = [
            _label(steps, b / 2 / wide, 1),
            _label("C", b / 2 / wide, base),
            _label("x", (b + 1.5) / wide, base),
            _label("y", (b + 3.5) / wide, base),
            _label("\u00d7", (b + 0.5) / wide, base / 2, **sign),
            _label("=", (b + 2.5) / wide, base / 2, **sign),
        ]
        if rows == 0:
            words = "One vector makes a whole matrix"
        elif entries < rows:
            words = f"Row {row} of C: the {steps}"
        elif entries < b:
            words = f"y[{row}] = row {row} of C, times x"
        else:
            words = f"{b} numbers make {b} \u00d7 {b} entries: y = C x"
        figure.layout.title.text = words
        return figure

    steps = [(0, 0)] + [(row + 1, row + done) for row in range(b) for done in (0, 1)]
    names = ["start"] + [f"{part} {row}" for row in range(b) for part in ("row", "y")]
    return animation([still(*step) for step in steps], names, fps=fps)
