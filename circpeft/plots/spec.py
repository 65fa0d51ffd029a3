"""A plotly figure as plain values: what the static form reads instead of plotly's own, slow, objects."""

import re

from .style import INK

PX = 1 / 100  # one plotly pixel in inches: a static figure has 100 of them to the inch
POINTS = 72 * PX  # and the same in points, matplotlib's unit of fonts and line widths


class Spec:
    """A nested dictionary that is called with a dotted path; what is missing or None gives the default.

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
        """The same with some of its top-level values replaced."""
        return Spec({**self.values, **changes})


class Layout(Spec):
    """A layout that falls back on its template; 'xaxis2' falls back on the template's 'xaxis'."""

    def __call__(self, path, default=None):
        value = super().__call__(path)
        if value is None:
            head, dot, rest = path.partition(".")
            value = super().__call__(f"template.layout.{head.rstrip('0123456789')}{dot}{rest}")
        return default if value is None else value

    def all(self, key):
        """A list of the layout, such as its annotations, each as a `Spec`."""
        return [Spec(item) for item in self.values.get(key) or ()]


def merge(base, change):
    """`base` with the values of `change`, dictionary by dictionary; lists are replaced whole, as plotly does."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def parts(figure, frame=None):
    """(layout, traces) of a plotly figure as it stands in one of its frames, or without them.

    Frames that name no traces change the first ones in order.
    """
    layout = figure.layout.to_plotly_json()
    traces = [trace.to_plotly_json() for trace in figure.data]
    if frame is not None:
        which = frame.traces if frame.traces is not None else range(len(frame.data))
        for index, change in zip(which, frame.data, strict=True):
            traces[index] = merge(traces[index], change.to_plotly_json())
        layout = merge(layout, frame.layout.to_plotly_json())
    return Layout(layout), [Spec(trace) for trace in traces]


def text(words):
    """Plotly's HTML-like text as matplotlib text: line breaks, sub- and superscripts; other tags are dropped.

    >>> print(text("<b>x</b><sub>1</sub>"))
    x$_{\\mathrm{1}}$
    """
    words = "" if words is None else str(words)
    words = re.sub(r"<br\s*/?>", "\n", words.replace("$", r"\$"))
    words = re.sub(r"<sub>(.*?)</sub>", r"$_{\\mathrm{\1}}$", words)
    words = re.sub(r"<sup>(.*?)</sup>", r"$^{\\mathrm{\1}}$", words)
    return re.sub(r"</?[A-Za-z]+[^>]*>", "", words)


def color(value, default=INK):
    """A colour of plotly ('rgba(1,2,3,0.5)', 'rgb(1,2,3)', '#rrggbb', a name) as matplotlib takes it.

    >>> color("rgb(255, 0, 0)")
    (1.0, 0.0, 0.0)
    """
    match = re.fullmatch(r"rgba?\(([^)]*)\)", str(value).replace(" ", ""))
    if value is None or not match:
        return default if value is None else value
    numbers = [float(part) for part in match[1].split(",")]
    return (*(part / 255 for part in numbers[:3]), *numbers[3:])
