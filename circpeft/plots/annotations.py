"""Annotations, shapes, the legend and the title of a static figure."""

from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import BboxTransformTo, blended_transform_factory

from .plain_figure import POINTS, color, text

_DASHES = {"dash": "--", "dot": ":", "dashdot": "-."}


def _resolve_references(item, figure, panels, area):
    """Resolve an item's `xref` and `yref`, such as 'paper', 'x2' or 'x2 domain'.

    Returns: the panel (None for the paper), the x axis and the y axis (None unless in data coordinates), and the
    matplotlib transform of its coordinates.
    """
    names, axes, systems = {}, {}, {}
    for letter in "xy":
        names[letter], _, domain = item(f"{letter}ref", getattr(panels[0], letter).name).partition(" ")
        systems[letter] = domain or ("paper" if names[letter] == "paper" else "data")
    candidates = {letter: [p for p in panels if names[letter] in ("paper", getattr(p, letter).name)] for letter in "xy"}
    for letter in "xy":
        if not candidates[letter]:
            raise ValueError(f"{letter}ref {item(f'{letter}ref')!r} names an axis without traces; use that of a trace")
    both = [panel for panel in candidates["x"] if panel in candidates["y"]]
    owner = {letter: (both or candidates[letter])[0] for letter in "xy"}
    transforms = {}
    for letter in "xy":
        known = {"data": owner[letter].ax.transData, "domain": owner[letter].ax.transAxes}
        transforms[letter] = known.get(systems[letter], BboxTransformTo(area) + figure.transFigure)
        axes[letter] = getattr(owner[letter], letter) if systems[letter] == "data" else None
    panel = None if names["x"] == names["y"] == "paper" else owner["x"] if names["x"] != "paper" else owner["y"]
    return panel, axes["x"], axes["y"], blended_transform_factory(transforms["x"], transforms["y"])


def annotations(figure, layout, panels, area):
    """Draw annotations in data, domain or paper coordinates, with an arrow unless `showarrow=False`, as plotly does."""
    for note in layout.all("annotations"):
        _, x_axis, y_axis, transform = _resolve_references(note, figure, panels, area)
        x, y = (axis.position(note(k)) if axis else note(k) for axis, k in ((x_axis, "x"), (y_axis, "y")))
        shift_x, shift_y, arrow = note("xshift", 0), note("yshift", 0), None
        if note("showarrow") is not False:
            shift_x, shift_y = note("ax", -10), -note("ay", -30)
            arrow = {"arrowstyle": "->", "color": color(note("arrowcolor")), "lw": 1}
        style = {
            "ha": {"left": "left", "right": "right"}.get(note("xanchor"), "center"),
            "va": {"top": "top", "bottom": "bottom"}.get(note("yanchor"), "center"),
            "fontsize": note("font.size", layout("font.size", 12)) * POINTS,
            "color": color(note("font.color"), color(layout("font.color"))),
            "rotation": -note("textangle", 0),
            "zorder": 6,
        }
        offset = (shift_x * POINTS, shift_y * POINTS)
        panels[0].ax.annotate(text(note("text")), (x, y), offset, transform, "offset points", arrow, False, **style)


def shapes(figure, layout, panels, area):
    """Draw lines and rectangles, such as those of plotly's add_hline and add_vrect. They widen automatic ranges."""
    for shape in layout.all("shapes"):
        panel, x_axis, y_axis, transform = _resolve_references(shape, figure, panels, area)
        x0, x1 = (x_axis.position(shape(k)) if x_axis else shape(k) for k in ("x0", "x1"))
        y0, y1 = (y_axis.position(shape(k)) if y_axis else shape(k) for k in ("y0", "y1"))
        style = {
            "ls": _DASHES.get(shape("line.dash"), "-"),
            "lw": shape("line.width", 2) * POINTS,
            "transform": transform,
        }
        style |= {"alpha": shape("opacity"), "zorder": 0.5 if shape("layer") == "below" else 3}
        edge = color(shape("line.color"))
        if shape("type") == "line":
            item = Line2D([x0, x1], [y0, y1], color=edge, **style)
            figure.add_artist(item) if panel is None else panel.ax.add_line(item)
        elif shape("type", "rect") == "rect":
            face = color(shape("fillcolor"), "none")
            item = Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=face, edgecolor=edge, **style)
            figure.add_artist(item) if panel is None else panel.ax.add_patch(item)
        else:
            raise ValueError(f"shape {shape('type')!r} has no static form; expected 'line' or 'rect'")
        if panel is not None:
            panel.ax.autoscale_view()


def legend(figure, layout, entries, area):
    """Draw the legend, right of the plot area unless the layout sets a position. One entry needs `showlegend=True`."""
    if not entries or not layout("showlegend", len(entries) > 1):
        return
    horizontal = layout("legend.orientation") == "h"
    x = layout("legend.x", 0.0 if horizontal else 1.02)
    y = layout("legend.y", -0.15 if horizontal else 1.0)
    align_x = {"center": "center", "right": "right"}.get(layout("legend.xanchor"), "left")
    align_y = {"middle": "center", "bottom": "lower"}.get(layout("legend.yanchor"), "upper")
    artists, names = zip(*entries, strict=True)
    size = layout("legend.font.size", layout("font.size", 12)) * POINTS
    mpl_legend = figure.legend(
        artists,
        [text(name) for name in names],
        loc="center" if align_x == align_y == "center" else f"{align_y} {align_x}",
        bbox_to_anchor=(area.x0 + x * area.width, area.y0 + y * area.height),
        ncols=len(entries) if horizontal else 1,
        frameon=False,
        borderaxespad=0,
        fontsize=size,
    )
    if layout("legend.title.text"):
        mpl_legend.set_title(text(layout("legend.title.text")), prop={"size": size})


def title(figure, layout, area, height):
    """Draw the title above the plot area: centred, or left-aligned if the layout says so."""
    title_text = layout("title.text")
    if not title_text:
        return
    left = layout("title.x", 0.05) < 0.4
    x = area.x0 if left else area.x0 + area.width / 2
    size = layout("title.font.size", 17) * POINTS
    figure.text(x, 1 - 12 / height, text(title_text), ha="left" if left else "center", va="top", fontsize=size)
