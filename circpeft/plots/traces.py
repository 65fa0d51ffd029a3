"""Plotly traces drawn on matplotlib axes, with one function for each supported trace type in `DRAW`.

A function takes the panel, the trace as a `Spec` and a default colour. It returns the artist for the legend, or None.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb

from .plain_figure import POINTS, color, text
from .style import INK, SEQUENTIAL

_SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "x": "X"}
_SYMBOLS |= {"cross": "P", "star": "*"}
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3)), "longdashdot": "-."}
_STEPS = {None: "default", "linear": "default", "spline": "default", "hv": "steps-post", "vh": "steps-pre"}


def _translate(option, value, known):
    """Return matplotlib's value of an option. An unknown value raises, because the two forms would silently differ."""
    if value not in known:
        raise ValueError(f"{option} {value!r} has no static form; expected one of {', '.join(map(repr, known))}")
    return known[value]


def _colormap(scale):
    return LinearSegmentedColormap.from_list("scale", [(float(position), color(shade)) for position, shade in scale])


def _faces(trace, default):
    """Return the colour of the markers or bars: one for all, or one for each."""
    value = trace("marker.color")
    if value is None or isinstance(value, str):
        return color(value, default)
    if all(isinstance(shade, str) for shade in value):
        return [color(shade) for shade in value]
    values = np.asarray(value, dtype=float)
    norm = Normalize(trace("marker.cmin", values.min()), trace("marker.cmax", values.max()))
    return _colormap(trace("marker.colorscale", SEQUENTIAL))(norm(values))


def _whiskers(trace, letter):
    """Return the lengths of error bars as (below, above), or None if the trace has none."""
    up, down = trace(f"error_{letter}.array"), trace(f"error_{letter}.arrayminus")
    if up is None or trace(f"error_{letter}.visible") is False:
        return None
    up = np.asarray(up, dtype=float)
    return np.vstack([up if down is None else np.asarray(down, dtype=float), up])


def _draw_errorbars(panel, trace, x, y, ink):
    x_error, y_error = _whiskers(trace, "x"), _whiskers(trace, "y")
    if x_error is None and y_error is None:
        return
    ink = color(trace("error_y.color" if y_error is not None else "error_x.color"), ink)
    panel.ax.errorbar(x, y, y_error, x_error, fmt="none", ecolor=ink, elinewidth=1.3 * POINTS, capsize=3, zorder=4)


def _draw_fill(panel, trace, x, y, ink):
    shade = color(trace("fillcolor"), (*to_rgb(ink), 0.3))
    kind = trace("fill")
    if kind == "toself":
        panel.ax.fill(x, y, color=shade, linewidth=0)
    elif kind == "tozeroy":
        panel.ax.fill_between(x, y, 0, color=shade, linewidth=0)
    elif kind == "tonexty" and panel.last_line is not None:
        below = panel.last_line
        panel.ax.fill(np.r_[below[0], x[::-1]], np.r_[below[1], y[::-1]], color=shade, linewidth=0)
    else:
        raise ValueError(f"fill {kind!r} has no static form; expected 'toself', 'tozeroy' or, on a line, 'tonexty'")


def _draw_texts(panel, trace, x, y, ink):
    texts, position = trace("text"), trace("textposition", "middle center").split()
    texts = [texts] * len(x) if isinstance(texts, str) or texts is None else texts
    shift_y, shift_x = {"top": 7, "bottom": -7}.get(position[0], 0), {"left": -8, "right": 8}.get(position[-1], 0)
    style = {"fontsize": trace("textfont.size", 12) * POINTS, "color": color(trace("textfont.color"), ink), "zorder": 5}
    style |= {"ha": {-8: "right", 0: "center", 8: "left"}[shift_x]}
    style |= {"va": {-7: "top", 0: "center", 7: "bottom"}[shift_y]}
    for x_value, y_value, value in zip(x, y, texts, strict=True):
        panel.ax.annotate(text(value), (x_value, y_value), (shift_x, shift_y), textcoords="offset points", **style)


def scatter(panel, trace, default):
    """Draw lines, markers, text, fills and error bars."""
    y = panel.y.numbers(trace("y"))
    x = panel.x.numbers(trace("x", np.arange(len(y))))
    mode = trace("mode", "lines+markers" if len(x) < 20 else "lines")
    faces = _faces(trace, default)
    ink = color(trace("line.color"), default if isinstance(faces, list | np.ndarray) else faces)
    if trace("fill", "none") != "none":
        _draw_fill(panel, trace, x, y, ink)
    panel.last_line = (x, y)
    artist, alpha = None, trace("opacity")
    symbol = _translate("marker symbol", trace("marker.symbol", "circle"), _SYMBOLS) if "markers" in mode else None
    size = np.asarray(trace("marker.size", 6), dtype=float) * POINTS
    if "lines" in mode:
        uniform = symbol is not None and size.ndim == 0 and not isinstance(faces, list | np.ndarray)
        dots = {"marker": symbol, "ms": float(size), "mfc": faces, "mec": faces} if uniform else {}
        style = {"color": ink, "lw": trace("line.width", 2) * POINTS, "alpha": alpha, "zorder": 3, "clip_on": True}
        style["ls"] = _translate("line dash", trace("line.dash", "solid"), _DASHES)
        style["drawstyle"] = _translate("line shape", trace("line.shape"), _STEPS)
        style["clip_on"] = trace("cliponaxis") is not False
        (artist,) = panel.ax.plot(x, y, **style, **dots)
        symbol = None if uniform else symbol
    _draw_errorbars(panel, trace, x, y, ink)
    if symbol is not None:
        shades = faces if isinstance(faces, list | np.ndarray) else [faces]
        opacity = trace("marker.opacity", alpha)
        dots = panel.ax.scatter(x, y, s=size**2, c=shades, marker=symbol, alpha=opacity, linewidths=0, zorder=3)
        artist = dots if artist is None else artist
    if "text" in mode:
        _draw_texts(panel, trace, x, y, ink)
    return artist


def bar(panel, trace, default):
    """Draw vertical bars with error bars: side by side, stacked, or one in front of the other."""
    _translate("bar orientation", trace("orientation", "v"), {"v": "v"})
    known = {"group": "group", "stack": "stack", "relative": "stack", "overlay": "overlay"}
    mode = _translate("barmode", panel.barmode, known)
    y = panel.y.numbers(trace("y"))
    x = panel.x.numbers(trace("x", np.arange(len(y))))
    positions = np.unique(x)
    width = (float(np.diff(positions).min()) if len(positions) > 1 else 1.0) * (1 - panel.bargap)
    bottom = np.zeros(len(x))
    if mode == "group":
        slot = width / panel.bar_count
        x = x - width / 2 + slot * (panel.bars_drawn + 0.5)
        width = slot * (1 - panel.bargroupgap)
    elif mode == "stack":
        keys = [(position, height < 0) for position, height in zip(x, y, strict=True)]
        bottom = np.array([panel.heights.get(key, 0.0) for key in keys])
        panel.heights.update(dict(zip(keys, bottom + np.nan_to_num(y), strict=True)))
    panel.bars_drawn += 1
    drawn = panel.ax.bar(x, y, width, bottom, color=_faces(trace, default), alpha=trace("opacity"), zorder=2)
    _draw_errorbars(panel, trace, x, bottom + y, INK)
    if trace("text") is not None:
        label = trace.replace(textposition="top center", textfont={"size": trace("textfont.size", 11), "color": INK})
        _draw_texts(panel, label, x, bottom + np.nan_to_num(y), INK)
    return drawn


def _edges(centers):
    """Return the edges of cells from their centres."""
    middle = (centers[1:] + centers[:-1]) / 2
    first = centers[0] - (middle[0] - centers[0] if len(middle) else 0.5)
    last = centers[-1] + (centers[-1] - middle[-1] if len(middle) else 0.5)
    return np.r_[first, middle, last]


def heatmap(panel, trace, default):
    """Draw cells with their numbers and a colour bar. A cell with NaN stays empty."""
    z = np.ma.masked_invalid(np.atleast_2d(np.asarray(trace("z"), dtype=float)))
    rows, columns = z.shape
    x = panel.x.numbers(trace("x", np.arange(columns)))
    y = panel.y.numbers(trace("y", np.arange(rows)))
    values = z.compressed() if z.count() else np.zeros(1)
    norm = Normalize(trace("zmin", float(values.min())), trace("zmax", float(values.max())))
    scale = trace("colorscale", SEQUENTIAL)
    cmap = _colormap([(1 - position, shade) for position, shade in reversed(scale)] if trace("reversescale") else scale)
    xs, ys = _edges(x), _edges(y)
    mesh = panel.ax.pcolormesh(xs, ys, z, cmap=cmap, norm=norm, zorder=1)
    gap = max(trace("xgap", 0), trace("ygap", 0)) * POINTS
    if gap:
        lines = [[(edge, ys[0]), (edge, ys[-1])] for edge in xs] + [[(xs[0], edge), (xs[-1], edge)] for edge in ys]
        panel.ax.add_collection(LineCollection(lines, colors=panel.background, linewidths=gap, zorder=1.5))
    template = trace("texttemplate", "")
    texts = _translate("texttemplate", template, {"": None, "%{text}": trace("text"), "%{z}": trace("z")})
    for i, row in enumerate(() if texts is None else texts):
        for j, value in enumerate(row):
            if not np.ma.is_masked(z[i, j]):
                red, green, blue, _ = cmap(norm(z[i, j]))
                ink = INK if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"
                style = {"ha": "center", "va": "center", "color": color(trace("textfont.color"), ink), "zorder": 2}
                panel.ax.text(x[j], y[i], text(value), fontsize=trace("textfont.size", 12) * POINTS, **style)
    if trace("showscale") is not False:
        panel.colorbar(mesh, trace)


DRAW = {"scatter": scatter, "scattergl": scatter, "bar": bar, "heatmap": heatmap}
