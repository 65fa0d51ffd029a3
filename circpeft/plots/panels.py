"""Plotly axes drawn with matplotlib: domains, scales, ranges, ticks, titles and colour bars."""

import numpy as np
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)

from .plain_figure import POINTS, PX, color, text

_LINE_COLOR = "#9aa5b1"
_TICK_STEPS = [1, 2, 2.5, 5, 10]
_EXTRA_TICKS_RATIO = 4, 100  # a log axis gets ticks at 2 and 5 if highest / lowest is in this range


class Axis:
    """An axis of a plotly layout, with the order of its categories if it is categorical."""

    def __init__(self, layout, name):
        self.letter, self.name, self.key = name[0], name, f"{name[0]}axis{name[1:]}"
        self.layout, self.categories = layout, []
        self.log = self("type") == "log"

    def __call__(self, path, default=None):
        return self.layout(f"{self.key}.{path}", default)

    def numbers(self, values):
        """Return values as positions on the axis. Strings become 0, 1, ... in the order in which they first appear."""
        values = np.asarray(values)
        are_texts = values.dtype.kind in "US" or any(isinstance(value, str) for value in values.ravel()[:1])
        if values.dtype.kind == "O" and not are_texts:
            are_texts = any(isinstance(value, str) for value in values)
        if not are_texts and self("type") != "category":
            if values.dtype.kind == "M":
                raise ValueError(f"{self.key} has dates, which a static figure cannot draw; use numbers or strings")
            return values.astype(float)  # None becomes NaN, which leaves a gap
        names = [str(value) for value in values]
        self.categories += [name for name in dict.fromkeys(names) if name not in self.categories]
        return np.array([self.categories.index(name) for name in names], dtype=float)

    def position(self, value):
        """Return the position of a shape or an annotation. On a log axis, plotly gives log10 of the value."""
        if isinstance(value, str):
            return float(self.numbers([value])[0])
        return 10.0**value if self.log else float(value)

    def style(self, ax):
        """Set scale, range, ticks, grid and title, after everything is drawn."""
        letter, mpl_axis = self.letter, getattr(ax, f"{self.letter}axis")
        visible, size = self("visible", True), self.layout("font.size", 12)
        if self.log:
            getattr(ax, f"set_{letter}scale")("log")
        limits = self("range")
        if limits is not None:
            getattr(ax, f"set_{letter}lim")(*(10.0 ** float(v) if self.log else float(v) for v in limits))
        elif self("autorange") == "reversed":
            getattr(ax, f"invert_{letter}axis")()
        labels, outside = visible and self("showticklabels", True), visible and self("ticks") == "outside"
        grid = visible and self("showgrid", True)
        if labels or outside or grid:
            self._set_ticks(ax, mpl_axis)
        else:
            mpl_axis.set_major_locator(NullLocator())
            mpl_axis.set_minor_locator(NullLocator())
        length = self("ticklen", 5) * POINTS if outside else 0
        style = {"labelsize": self("tickfont.size", size - 1) * POINTS, "length": length, "color": _LINE_COLOR}
        ax.tick_params(axis=letter, **style, **{"labelbottom" if letter == "x" else "labelleft": labels})
        ax.tick_params(axis=letter, which="minor", length=0, labelsize=style["labelsize"])
        side = ax.spines["bottom" if letter == "x" else "left"]
        side.set(visible=bool(visible and self("showline")), color=color(self("linecolor"), _LINE_COLOR))
        if grid:
            mpl_axis.grid(True, color=color(self("gridcolor"), "#e3e7eb"), linewidth=0.8)
        if visible and self("title.text"):
            getattr(ax, f"set_{letter}label")(text(self("title.text")), fontsize=size * POINTS, labelpad=6)

    def _set_ticks(self, ax, mpl_axis):
        values, labels, number_format = self("tickvals"), self("ticktext"), self("tickformat")
        if values is not None:
            mpl_axis.set_ticks(self.numbers(values), [text(label) for label in (values if labels is None else labels)])
            mpl_axis.set_minor_locator(NullLocator())
        elif self.categories:
            mpl_axis.set_ticks(range(len(self.categories)), [text(name) for name in self.categories])
            label_width = ax.get_position().width * ax.figure.get_size_inches()[0] / PX / len(self.categories)
            if self.letter == "x" and 8 * max(map(len, self.categories)) > label_width:
                for label in mpl_axis.get_ticklabels():
                    label.set(rotation=30, ha="right", rotation_mode="anchor")
        else:
            if self.log:
                low, high = sorted(getattr(ax, f"get_{self.letter}lim")())
                if _EXTRA_TICKS_RATIO[0] < high / low <= _EXTRA_TICKS_RATIO[1]:
                    mpl_axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
                    mpl_axis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2.0, 2.0)))
            else:
                step = self("dtick")
                mpl_axis.set_major_locator(MultipleLocator(float(step)) if step else MaxNLocator(7, steps=_TICK_STEPS))
            if number_format:
                # d3 and Python share the format strings that figures here need; this raises for any other.
                format(1.0, number_format)
                mpl_axis.set_major_formatter(FuncFormatter(lambda value, _: format(value, number_format)))


class Panel:
    """A pair of axes, with the state that its traces share, such as the heights of stacked bars."""

    def __init__(self, figure, layout, area, x, y, traces):
        for axis in (x, y):
            if axis("overlaying"):
                raise ValueError(f"{axis.key} overlays another axis, which has no static form; give it its own panel")
        self.x, self.y, self.area, self.last_line, self.heights = x, y, area, None, {}
        left, right = x("domain", (0, 1))
        low, high = y("domain", (0, 1))
        corner = (area.x0 + left * area.width, area.y0 + low * area.height)
        self.ax = figure.add_axes((*corner, (right - left) * area.width, (high - low) * area.height))
        self.background = color(layout("plot_bgcolor"), "white")
        self.ax.set_facecolor(self.background)
        self.ax.set_axisbelow(True)
        for spine in self.ax.spines.values():
            spine.set_visible(False)
        self.barmode, self.bargap = layout("barmode", "group"), layout("bargap", 0.2)
        self.bargroupgap, self.bars_drawn = layout("bargroupgap", 0.0), 0
        self.bar_count = sum(trace("type") == "bar" for trace in traces)

    def colorbar(self, mesh, trace):
        """Draw a colour bar where plotly puts it: right of the plot area, unless the trace sets another position."""
        figure = self.ax.figure
        left = self.area.x0 + trace("colorbar.x", 1.02) * self.area.width
        length = trace("colorbar.len", 1.0) * self.area.height
        middle = self.area.y0 + trace("colorbar.y", 0.5) * self.area.height
        width = trace("colorbar.thickness", 14) * PX / figure.get_size_inches()[0]
        ax = figure.add_axes((left, middle - length / 2, width, length))
        colorbar = figure.colorbar(mesh, cax=ax)
        colorbar.outline.set_visible(False)
        colorbar.locator = MaxNLocator(trace("colorbar.nticks", 6), steps=_TICK_STEPS)
        colorbar.update_ticks()
        ax.tick_params(labelsize=11 * POINTS, length=2, color=_LINE_COLOR)
        if trace("colorbar.title.text"):
            ax.set_title(text(trace("colorbar.title.text")), fontsize=12 * POINTS, loc="left")

    def finish(self):
        """Style both axes, and keep cells square if the layout couples the scales of the axes."""
        self.x.style(self.ax)
        self.y.style(self.ax)
        if self.y("scaleanchor") or self.x("scaleanchor"):
            self.ax.set_aspect("equal", adjustable="box")
            self.ax.apply_aspect()
