"""A plotly figure that controls change, drawn in the browser from one value that holds all of it."""

from __future__ import annotations

import json

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

from ..plots.output import description
from .pieces import bundle


class LiveFigure(anywidget.AnyWidget):
    """A plotly figure that is replaced as a whole.

    Plotly's own `FigureWidget` sends its data after the widget, and each change as a message. If plotly's script, of
    5 MB, takes the browser longer than two seconds, these are lost: the figure is empty and follows no control. Here
    the widget has its data from the start, its script is small, and every change is complete. The browser skips
    figures that come while it draws.

    Args:
        figure: the figure to begin with.

    >>> shown = LiveFigure(go.Figure(go.Scatter(y=[1, 2])))
    >>> shown.draw(go.Figure(go.Bar(y=[1, 2])))
    >>> shown.content["data"][0]["type"]
    'bar'
    """

    # "data" and "layout", as plotly's JSON has them, and "alt", the alternative text of both
    content = traitlets.Dict().tag(sync=True)
    _plotly = traitlets.Unicode().tag(sync=True)
    _esm = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure: go.Figure | None = None) -> None:
        script = bundle.module("live_figure")
        super().__init__(content=_content(figure or go.Figure()), _plotly=get_plotlyjs(), _esm=script)

    def draw(self, figure: go.Figure, alt: str = "") -> None:
        """Show another figure, with its alternative text; by default, that of `plots.output.description`."""
        self.content = _content(figure, alt)

    def change(self, traces: list[dict], title: str, alt: str) -> None:
        """Show other values in the same traces, another title, and another alternative text.

        This takes less time than a new figure.

        Args:
            traces: for each trace what changes, such as ``x``, ``y`` and ``name``: only what JSON can hold.
            title: text of the title.
            alt: the alternative text for these values.

        Raises: ValueError if the number of traces is another.
        """
        layout = self.content["layout"]
        data = [old | new for old, new in zip(self.content["data"], traces, strict=True)]
        titled = layout | {"title": layout.get("title", {}) | {"text": title}}
        self.content = {"data": data, "layout": titled, "alt": alt}


def _content(figure: go.Figure, alt: str = "") -> dict:
    whole = json.loads(figure.to_json())
    layout = {name: value for name, value in whole["layout"].items() if name != "meta"}  # its text is in "alt"
    return {"data": whole["data"], "layout": layout, "alt": alt or description(figure)}
