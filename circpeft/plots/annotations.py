"""What stands on a static figure beside its traces: annotations, shapes, the legend and the title."""

from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import BboxTransformTo, blended_transform_factory

from .spec import POINTS, color, text

_DASHES = {"dash": "--", "dot": ":", "dashdot": "-."}


def _refs(item, figure, panels, area):
    """(panel or None, x axis or None, y axis or None, transform) for references such as 'paper', 'x2', 'x2 domain'."""
    names, axes, sides = {}, {}, {}
    for letter in "xy":
        names[letter], _, domain = item(f"{letter}ref", getattr(panels[0], letter).name).partition(" ")
        sides[letter] = domain or ("paper" if names[letter] == "paper" else "data")
    of = {letter: [p for p in panels if names[letter] in ("paper", getattr(p, letter).name)] for letter in "xy"}
    for letter in "xy":
        if not of[letter]:
            raise ValueError(f"{letter}ref {item(f'{letter}ref')!r} names an axis that no trace is drawn on")
    both = [panel for panel in of["x"] if panel in of["y"]]
    owner = {"x": (both or of["x"])[0], "y": (both or of["y"])[0]}
    where = {}
    for letter in "xy":
        places = {"data": owner[letter].ax.transData, "domain": owner[letter].ax.transAxes}
        where[letter] = places.get(sides[letter], BboxTransformTo(area) + figure.transFigure)
        axes[letter] = getattr(owner[letter], letter) if sides[letter] == "data" else None
    panel = None if names["x"] == names["y"] == "paper" else owner["x"] if names["x"] != "paper" else owner["y"]
    return panel, axes["x"], axes["y"], blended_transform_factory(where["x"], where["y"])


def annotations(figure, layout, panels, area):
    """Notes in data, domain or paper coordinates, with an arrow unless `showarrow=False`, as plotly has it."""
    for note in layout.all("annotations"):
        _, x_axis, y_axis, at = _refs(note, figure, panels, area)
        x, y = (axis.place(note(k)) if axis else note(k) for axis, k in ((x_axis, "x"), (y_axis, "y")))
        aside, above, arrow = note("xshift", 0), note("yshift", 0), None
        if note("showarrow") is not False:
            aside, above = note("ax", -10), -note("ay", -30)
            arrow = {"arrowstyle": "->", "color": color(note("arrowcolor")), "lw": 1}
        look = {
            "ha": {"left": "left", "right": "right"}.get(note("xanchor"), "center"),
            "va": {"top": "top", "bottom": "bottom"}.get(note("yanchor"), "center"),
            "fontsize": note("font.size", layout("font.size", 12)) * POINTS,
            "color": color(note("font.color"), color(layout("font.color"))),
            "rotation": -note("textangle", 0),
            "zorder": 6,
        }
        offset = (aside * POINTS, above * POINTS)
        panels[0].ax.annotate(text(note("text")), (x, y), offset, at, "offset points", arrow, False, **look)


def shapes(figure, layout, panels, area):
    """Lines and rectangles, such as those of plotly's add_hline and add_vrect; they widen an automatic range."""
    for shape in layout.all("shapes"):
        panel, x_axis, y_axis, at = _refs(shape, figure, panels, area)
        x0, x1 = (x_axis.place(shape(k)) if x_axis else shape(k) for k in ("x0", "x1"))
        y0, y1 = (y_axis.place(shape(k)) if y_axis else shape(k) for k in ("y0", "y1"))
        look = {"ls": _DASHES.get(shape("line.dash"), "-"), "lw": shape("line.width", 2) * POINTS, "transform": at}
        look |= {"alpha": shape("opacity"), "zorder": 0.5 if shape("layer") == "below" else 3}
        edge = color(shape("line.color"))
        if shape("type") == "line":
            item = Line2D([x0, x1], [y0, y1], color=edge, **look)
            figure.add_artist(item) if panel is None else panel.ax.add_line(item)
        elif shape("type", "rect") == "rect":
            face = color(shape("fillcolor"), "none")
            item = Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=face, edgecolor=edge, **look)
            figure.add_artist(item) if panel is None else panel.ax.add_patch(item)
        else:
            raise ValueError(f"shape {shape('type')!r} has no static form; expected 'line' or 'rect'")
        if panel is not None:
            panel.ax.autoscale_view()


def legend(figure, layout, entries, area):
    """The legend, right of the plot area unless the layout places it; none for one entry unless asked for."""
    if not entries or not layout("showlegend", len(entries) > 1):
        return
    flat = layout("legend.orientation") == "h"
    x = layout("legend.x", 0.0 if flat else 1.02)
    y = layout("legend.y", -0.15 if flat else 1.0)
    side = {"center": "center", "right": "right"}.get(layout("legend.xanchor"), "left")
    high = {"middle": "center", "bottom": "lower"}.get(layout("legend.yanchor"), "upper")
    artists, names = zip(*entries, strict=True)
    size = layout("legend.font.size", layout("font.size", 12)) * POINTS
    drawn = figure.legend(
        artists,
        [text(name) for name in names],
        loc="center" if high == side == "center" else f"{high} {side}",
        bbox_to_anchor=(area.x0 + x * area.width, area.y0 + y * area.height),
        ncols=len(entries) if flat else 1,
        frameon=False,
        borderaxespad=0,
        fontsize=size,
    )
    if layout("legend.title.text"):
        drawn.set_title(text(layout("legend.title.text")), prop={"size": size})


def title(figure, layout, area, pixels_high):
    """The title above the plot area: centred over it, or from the left where the layout puts it there."""
    words = layout("title.text")
    if not words:
        return
    left = layout("title.x", 0.05) < 0.4
    at = area.x0 if left else area.x0 + area.width / 2
    size = layout("title.font.size", 17) * POINTS
    figure.text(at, 1 - 12 / pixels_high, text(words), ha="left" if left else "center", va="top", fontsize=size)
