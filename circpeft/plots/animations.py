"""An animated figure made of finished figures, with a play button and a slider."""

import numpy as np
import plotly.graph_objects as go

from ..escaping import plotly
from .style import TEMPLATE


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
        above = 0.0 if error is None or error.array is None else np.asarray(error.array, dtype=float)
        below = above if error is None or error.arrayminus is None else np.asarray(error.arrayminus, dtype=float)
        parts += [values - below, values + above]
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
