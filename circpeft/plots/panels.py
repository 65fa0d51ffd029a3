"""The axes of a plotly layout as matplotlib axes: domains, scales, ranges, ticks, titles and colour bars."""

import numpy as np
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)

from .spec import POINTS, PX, color, text

_RULE = "#9aa5b1"
_NICE = [1, 2, 2.5, 5, 10]
_FEW_DECADES = 4, 100  # how many times the low end the high end of such an axis is


class Axis:
    """One axis of the layout and, where it is categorical, the order of its categories."""

    def __init__(self, layout, name):
        self.letter, self.name, self.key = name[0], name, f"{name[0]}axis{name[1:]}"
        self.layout, self.categories = layout, []
        self.log = self("type") == "log"

    def __call__(self, path, default=None):
        return self.layout(f"{self.key}.{path}", default)

    def numbers(self, values):
        """Positions on the axis; strings take whole numbers in the order in which they first appear."""
        values = np.asarray(values)
        words = values.dtype.kind in "US" or any(isinstance(value, str) for value in values.ravel()[:1])
        if values.dtype.kind == "O" and not words:
            words = any(isinstance(value, str) for value in values)
        if not words and self("type") != "category":
            if values.dtype.kind == "M":
                raise ValueError(f"{self.key} holds dates, which have no static form; use numbers or strings")
            return values.astype(float)  # None becomes nan, a gap
        names = [str(value) for value in values]
        self.categories += [name for name in dict.fromkeys(names) if name not in self.categories]
        return np.array([self.categories.index(name) for name in names], dtype=float)

    def place(self, value):
        """Where a shape or an annotation stands: plotly gives log10 of the value on a log axis."""
        if isinstance(value, str):
            return float(self.numbers([value])[0])
        return 10.0**value if self.log else float(value)

    def style(self, ax):
        """Scale, range, ticks, grid and title, once everything is drawn."""
        which, lines = self.letter, getattr(ax, f"{self.letter}axis")
        visible, size = self("visible", True), self.layout("font.size", 12)
        if self.log:
            getattr(ax, f"set_{which}scale")("log")
        limits = self("range")
        if limits is not None:
            getattr(ax, f"set_{which}lim")(*(10.0 ** float(v) if self.log else float(v) for v in limits))
        elif self("autorange") == "reversed":
            getattr(ax, f"invert_{which}axis")()
        labels, outside = visible and self("showticklabels", True), visible and self("ticks") == "outside"
        grid = visible and self("showgrid", True)
        if labels or outside or grid:
            self._ticks(ax, lines)
        else:
            lines.set_major_locator(NullLocator())
            lines.set_minor_locator(NullLocator())
        length = self("ticklen", 5) * POINTS if outside else 0
        look = {"labelsize": self("tickfont.size", size - 1) * POINTS, "length": length, "color": _RULE}
        ax.tick_params(axis=which, **look, **{"labelbottom" if which == "x" else "labelleft": labels})
        ax.tick_params(axis=which, which="minor", length=0, labelsize=look["labelsize"])
        side = ax.spines["bottom" if which == "x" else "left"]
        side.set(visible=bool(visible and self("showline")), color=color(self("linecolor"), _RULE))
        if grid:
            lines.grid(True, color=color(self("gridcolor"), "#e3e7eb"), linewidth=0.8)
        if visible and self("title.text"):
            getattr(ax, f"set_{which}label")(text(self("title.text")), fontsize=size * POINTS, labelpad=6)

    def _ticks(self, ax, lines):
        at, labels, spec = self("tickvals"), self("ticktext"), self("tickformat")
        if at is not None:
            lines.set_ticks(self.numbers(at), [text(label) for label in (at if labels is None else labels)])
            lines.set_minor_locator(NullLocator())
        elif self.categories:
            lines.set_ticks(range(len(self.categories)), [text(name) for name in self.categories])
            room = ax.get_position().width * ax.figure.get_size_inches()[0] / PX / len(self.categories)
            if self.letter == "x" and 8 * max(map(len, self.categories)) > room:
                for label in lines.get_ticklabels():
                    label.set(rotation=30, ha="right", rotation_mode="anchor")
        else:
            if self.log:
                low, high = sorted(getattr(ax, f"get_{self.letter}lim")())
                if _FEW_DECADES[0] < high / low <= _FEW_DECADES[1]:  # 3 and 4 have no room beside each other
                    lines.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
                    lines.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2.0, 2.0)))
            else:
                step = self("dtick")
                lines.set_major_locator(MultipleLocator(float(step)) if step else MaxNLocator(7, steps=_NICE))
            if spec:
                # d3's and Python's format strings agree where figures here need them; what differs raises at once.
                format(1.0, spec)
                lines.set_major_formatter(FuncFormatter(lambda value, _: format(value, spec)))


class Panel:
    """One pair of axes, with what its traces have to know of each other."""

    def __init__(self, figure, layout, area, x, y, traces):
        for axis in (x, y):
            if axis("overlaying"):
                raise ValueError(f"{axis.key} overlays another axis, which has no static form; give it its own panel")
        self.x, self.y, self.area, self.last, self.heights = x, y, area, None, {}
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
        """A colour bar where plotly puts it: right of the whole plot area unless the trace says otherwise."""
        figure = self.ax.figure
        left = self.area.x0 + trace("colorbar.x", 1.02) * self.area.width
        length = trace("colorbar.len", 1.0) * self.area.height
        middle = self.area.y0 + trace("colorbar.y", 0.5) * self.area.height
        width = trace("colorbar.thickness", 14) * PX / figure.get_size_inches()[0]
        ax = figure.add_axes((left, middle - length / 2, width, length))
        drawn = figure.colorbar(mesh, cax=ax)
        drawn.outline.set_visible(False)
        drawn.locator = MaxNLocator(trace("colorbar.nticks", 6), steps=_NICE)
        drawn.update_ticks()
        ax.tick_params(labelsize=11 * POINTS, length=2, color=_RULE)
        if trace("colorbar.title.text"):
            ax.set_title(text(trace("colorbar.title.text")), fontsize=12 * POINTS, loc="left")

    def finish(self):
        """Style both axes, and keep cells square where the layout ties one axis to the other."""
        self.x.style(self.ax)
        self.y.style(self.ax)
        if self.y("scaleanchor") or self.x("scaleanchor"):
            self.ax.set_aspect("equal", adjustable="box")
            self.ax.apply_aspect()
