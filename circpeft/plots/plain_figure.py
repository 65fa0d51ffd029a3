"""Plotly figures as plain dictionaries, which the static form reads because plotly's own objects are slow."""

import html
import re

from .style import INK

PX = 1 / 100  # one plotly pixel in inches
POINTS = 72 * PX  # one plotly pixel in points, matplotlib's unit of fonts and line widths


class Spec:
    """A nested dictionary that is called with a dotted path. It returns the default for a missing value or None.

    >>> Spec({"line": {"width": 2}})("line.width"), Spec({})("line.width", 1)
    (2, 1)
    """

    def __init__(self, values):
        self.values = values

    def __call__(self, path, default=None):
        value = self.values
        for key in path.split("."):
            if not isinstance(value, dict):
                return default
            value = value.get(key)
        return default if value is None else value

    def replace(self, **changes):
        """Return a copy with some top-level values replaced."""
        return Spec({**self.values, **changes})


class Layout(Spec):
    """A layout that falls back to its template; 'xaxis2' falls back to the template's 'xaxis'."""

    def __call__(self, path, default=None):
        value = super().__call__(path)
        if value is None:
            key, dot, rest = path.partition(".")
            value = super().__call__(f"template.layout.{key.rstrip('0123456789')}{dot}{rest}")
        return default if value is None else value

    def all(self, key):
        """Return a list in the layout, such as its annotations, with each item as a `Spec`."""
        return [Spec(item) for item in self.values.get(key) or ()]


def merge(base, change):
    """Return `base` updated with `change`. Dictionaries are merged; lists are replaced, as in plotly."""
    merged = dict(base)
    for key, value in change.items():
        are_dicts = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if are_dicts else value
    return merged


def parts(figure, frame=None):
    """Return (layout, traces) of a plotly figure, or of the figure as it is in one of its frames.

    A frame that does not name its traces changes the first ones in order.
    """
    layout = figure.layout.to_plotly_json()
    traces = [trace.to_plotly_json() for trace in figure.data]
    if frame is not None:
        indices = frame.traces if frame.traces is not None else range(len(frame.data))
        for index, change in zip(indices, frame.data, strict=True):
            traces[index] = merge(traces[index], change.to_plotly_json())
        layout = merge(layout, frame.layout.to_plotly_json())
    return Layout(layout), [Spec(trace) for trace in traces]


def text(plotly_text):
    """Return plotly's HTML-like text as matplotlib text: line breaks, sub- and superscripts; other tags are dropped.

    Entities, such as those that `escaping.plotly` writes, become their characters.

    >>> print(text("<b>x</b><sub>1</sub>"))
    x$_{\\mathrm{1}}$
    """
    converted = "" if plotly_text is None else str(plotly_text)
    converted = re.sub(r"<br\s*/?>", "\n", converted.replace("$", r"\$"))
    converted = re.sub(r"<sub>(.*?)</sub>", r"$_{\\mathrm{\1}}$", converted)
    converted = re.sub(r"<sup>(.*?)</sup>", r"$^{\\mathrm{\1}}$", converted)
    converted = re.sub(r"</?[A-Za-z]+[^>]*>", "", converted)
    return re.sub(r"&#?\w+;", lambda entity: html.unescape(entity[0]).replace("$", r"\$"), converted)


def color(value, default=INK):
    """Return a plotly colour ('rgba(1,2,3,0.5)', 'rgb(1,2,3)', '#rrggbb' or a name) in matplotlib's form.

    >>> color("rgb(255, 0, 0)")
    (1.0, 0.0, 0.0)
    """
    match = re.fullmatch(r"rgba?\(([^)]*)\)", str(value).replace(" ", ""))
    if value is None or not match:
        return default if value is None else value
    numbers = [float(part) for part in match[1].split(",")]
    return (*(part / 255 for part in numbers[:3]), *numbers[3:])
