"""Plotly traces drawn on matplotlib axes, one function for each trace type; `DRAW` is what is supported.

A function takes the panel (its axes and what the traces on them share), the trace as a `Spec` and a default colour; it
returns the artist that stands for the trace in the legend, or None.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb

from .spec import POINTS, color, text
from .style import INK, SEQUENTIAL

_SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "x": "X"}
_SYMBOLS |= {"cross": "P", "star": "*"}
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3)), "longdashdot": "-."}
_STEPS = {None: "default", "linear": "default", "spline": "default", "hv": "steps-post", "vh": "steps-pre"}


def _one_of(what, value, known):
    # An option that only one of the two forms honours would make them differ without a word.
    if value not in known:
        raise ValueError(f"{what} {value!r} has no static form; expected one of {', '.join(map(repr, known))}")
    return known[value]


def _colormap(scale):
    return LinearSegmentedColormap.from_list("scale", [(float(at), color(shade)) for at, shade in scale])


def _faces(trace, default):
    """The colour of each marker or bar: one colour, a list of them, or numbers on a colour scale."""
    value = trace("marker.color")
    if value is None or isinstance(value, str):
        return color(value, default)
    if all(isinstance(shade, str) for shade in value):
        return [color(shade) for shade in value]
    values = np.asarray(value, dtype=float)
    norm = Normalize(trace("marker.cmin", values.min()), trace("marker.cmax", values.max()))
    return _colormap(trace("marker.colorscale", SEQUENTIAL))(norm(values))


def _whiskers(trace, letter):
    up, down = trace(f"error_{letter}.array"), trace(f"error_{letter}.arrayminus")
    if up is None or trace(f"error_{letter}.visible") is False:
        return None
    up = np.asarray(up, dtype=float)
    return np.vstack([up if down is None else np.asarray(down, dtype=float), up])


def _errorbar(panel, trace, x, y, ink):
    across, up = _whiskers(trace, "x"), _whiskers(trace, "y")
    if across is None and up is None:
        return
    ink = color(trace("error_y.color" if up is not None else "error_x.color"), ink)
    panel.ax.errorbar(x, y, up, across, fmt="none", ecolor=ink, elinewidth=1.3 * POINTS, capsize=3, zorder=4)


def _fill(panel, trace, x, y, ink):
    shade = color(trace("fillcolor"), (*to_rgb(ink), 0.3))
    kind = trace("fill")
    if kind == "toself":
        panel.ax.fill(x, y, color=shade, linewidth=0)
    elif kind == "tozeroy":
        panel.ax.fill_between(x, y, 0, color=shade, linewidth=0)
    elif kind == "tonexty" and panel.last is not None:
        below = panel.last
        panel.ax.fill(np.r_[below[0], x[::-1]], np.r_[below[1], y[::-1]], color=shade, linewidth=0)
    else:
        raise ValueError(f"fill {kind!r} has no static form; expected 'toself', 'tozeroy' or, on a line, 'tonexty'")


def _words(panel, trace, x, y, ink):
    words, place = trace("text"), trace("textposition", "middle center").split()
    words = [words] * len(x) if isinstance(words, str) or words is None else words
    above, aside = {"top": 7, "bottom": -7}.get(place[0], 0), {"left": -8, "right": 8}.get(place[-1], 0)
    look = {"fontsize": trace("textfont.size", 12) * POINTS, "color": color(trace("textfont.color"), ink), "zorder": 5}
    look |= {"ha": {-8: "right", 0: "center", 8: "left"}[aside], "va": {-7: "top", 0: "center", 7: "bottom"}[above]}
    for at_x, at_y, word in zip(x, y, words, strict=True):
        panel.ax.annotate(text(word), (at_x, at_y), (aside, above), textcoords="offset points", **look)


def scatter(panel, trace, default):
    """Lines, markers, text, fills and error bars."""
    y = panel.y.numbers(trace("y"))
    x = panel.x.numbers(trace("x", np.arange(len(y))))
    mode = trace("mode", "lines+markers" if len(x) < 20 else "lines")
    faces = _faces(trace, default)
    ink = color(trace("line.color"), default if isinstance(faces, list | np.ndarray) else faces)
    if trace("fill", "none") != "none":
        _fill(panel, trace, x, y, ink)
    panel.last = (x, y)
    artist, alpha = None, trace("opacity")
    symbol = _one_of("marker symbol", trace("marker.symbol", "circle"), _SYMBOLS) if "markers" in mode else None
    size = np.asarray(trace("marker.size", 6), dtype=float) * POINTS
    if "lines" in mode:
        plain = symbol is not None and size.ndim == 0 and not isinstance(faces, list | np.ndarray)
        dots = {"marker": symbol, "ms": float(size), "mfc": faces, "mec": faces} if plain else {}
        look = {"color": ink, "lw": trace("line.width", 2) * POINTS, "alpha": alpha, "zorder": 3, "clip_on": True}
        look["ls"] = _one_of("line dash", trace("line.dash", "solid"), _DASHES)
        look["drawstyle"] = _one_of("line shape", trace("line.shape"), _STEPS)
        look["clip_on"] = trace("cliponaxis") is not False
        (artist,) = panel.ax.plot(x, y, **look, **dots)
        symbol = None if plain else symbol
    _errorbar(panel, trace, x, y, ink)
    if symbol is not None:
        shades = faces if isinstance(faces, list | np.ndarray) else [faces]
        see = trace("marker.opacity", alpha)
        dots = panel.ax.scatter(x, y, s=size**2, c=shades, marker=symbol, alpha=see, linewidths=0, zorder=3)
        artist = dots if artist is None else artist
    if "text" in mode:
        _words(panel, trace, x, y, ink)
    return artist


def bar(panel, trace, default):
    """Vertical bars with error bars: side by side, stacked, or over each other."""
    _one_of("bar orientation", trace("orientation", "v"), {"v": "v"})
    known = {"group": "group", "stack": "stack", "relative": "stack", "overlay": "overlay"}
    mode = _one_of("barmode", panel.barmode, known)
    y = panel.y.numbers(trace("y"))
    x = panel.x.numbers(trace("x", np.arange(len(y))))
    places = np.unique(x)
    width = (float(np.diff(places).min()) if len(places) > 1 else 1.0) * (1 - panel.bargap)
    bottom = np.zeros(len(x))
    if mode == "group":
        slot = width / panel.bar_count
        x = x - width / 2 + slot * (panel.bars_drawn + 0.5)
        width = slot * (1 - panel.bargroupgap)
    elif mode == "stack":
        keys = [(at, up < 0) for at, up in zip(x, y, strict=True)]
        bottom = np.array([panel.heights.get(key, 0.0) for key in keys])
        panel.heights.update(dict(zip(keys, bottom + np.nan_to_num(y), strict=True)))
    panel.bars_drawn += 1
    drawn = panel.ax.bar(x, y, width, bottom, color=_faces(trace, default), alpha=trace("opacity"), zorder=2)
    _errorbar(panel, trace, x, bottom + y, INK)
    if trace("text") is not None:
        above = trace.replace(textposition="top center", textfont={"size": trace("textfont.size", 11), "color": INK})
        _words(panel, above, x, bottom + np.nan_to_num(y), INK)
    return drawn


def _edges(centers):
    middle = (centers[1:] + centers[:-1]) / 2
    first = centers[0] - (middle[0] - centers[0] if len(middle) else 0.5)
    last = centers[-1] + (centers[-1] - middle[-1] if len(middle) else 0.5)
    return np.r_[first, middle, last]


def heatmap(panel, trace, default):
    """Cells with their numbers and a colour bar; a cell that is not a number stays empty."""
    z = np.ma.masked_invalid(np.atleast_2d(np.asarray(trace("z"), dtype=float)))
    rows, columns = z.shape
    x = panel.x.numbers(trace("x", np.arange(columns)))
    y = panel.y.numbers(trace("y", np.arange(rows)))
    known = z.compressed() if z.count() else np.zeros(1)
    norm = Normalize(trace("zmin", float(known.min())), trace("zmax", float(known.max())))
    scale = trace("colorscale", SEQUENTIAL)
    cmap = _colormap([(1 - at, shade) for at, shade in reversed(scale)] if trace("reversescale") else scale)
    xs, ys = _edges(x), _edges(y)
    mesh = panel.ax.pcolormesh(xs, ys, z, cmap=cmap, norm=norm, zorder=1)
    gap = max(trace("xgap", 0), trace("ygap", 0)) * POINTS
    if gap:
        lines = [[(at, ys[0]), (at, ys[-1])] for at in xs] + [[(xs[0], at), (xs[-1], at)] for at in ys]
        panel.ax.add_collection(LineCollection(lines, colors=panel.background, linewidths=gap, zorder=1.5))
    template = trace("texttemplate", "")
    words = _one_of("texttemplate", template, {"": None, "%{text}": trace("text"), "%{z}": trace("z")})
    for i, row in enumerate(() if words is None else words):
        for j, word in enumerate(row):
            if not np.ma.is_masked(z[i, j]):
                red, green, blue, _ = cmap(norm(z[i, j]))
                ink = INK if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"
                look = {"ha": "center", "va": "center", "color": color(trace("textfont.color"), ink), "zorder": 2}
                panel.ax.text(x[j], y[i], text(word), fontsize=trace("textfont.size", 12) * POINTS, **look)
    if trace("showscale") is not False:
        panel.colorbar(mesh, trace)


DRAW = {"scatter": scatter, "scattergl": scatter, "bar": bar, "heatmap": heatmap}
