"""The cost explorer of notebook 05: costs of methods over their hyperparameters, where curves cross, and sliders."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .. import costs
from ..plots.style import COLORS, TEMPLATE

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = tuple(2**k for k in range(15))  # per step
COMPARED = ("lora", "vera", "fourierft", "boft", "lamda", "c3a", "cdvft")
PANELS = (
    ("trainable parameters", "FLOPs per step"),
    ("trainable parameters", "bytes saved for the backward pass"),
    ("tokens per step", "FLOPs per step"),
)
PLACES = ((1, 1), (1, 2), (2, 1))  # row and column of each panel; the legend takes the fourth place
CROSSES = "equal costs"  # name of the traces that mark where lines meet
WIDTH, HEIGHT = 780, 720  # JupyterLab with its file browser leaves 868 pixels in a window of 1,300
Point = tuple[float, float]


def settings(method: str, d_in: int, d_out: int) -> list[dict[str, Any]]:
    """Return the hyperparameters along a method's curve for one layer, from few parameters to many.

    >>> settings("c3a", 768, 768)[-1], len(settings("lora", 768, 768))
    ({'block_size': 6}, 10)
    """
    smaller_side = min(d_in, d_out)
    if method in ("lora", "lamda"):
        return [{"r": r} for r in RANKS if r <= smaller_side]
    if method == "vera":
        return [{"r": r} for r in RANKS]
    if method == "fourierft":
        return [{"n_frequency": n} for n in (100, 300, 1000, 3000, 10_000, 30_000) if n <= d_in * d_out]
    if method == "boft":
        return [{"block_size": b} for b in (2, 4, 8, 16, 32) if d_in % b == 0]
    if method == "c3a":
        divisors = [b for b in range(smaller_side, 0, -1) if d_in % b == 0 and d_out % b == 0]
        return [{"block_size": b} for b in divisors if d_in * d_out // b <= 64 * (d_in + d_out)]
    if method == "cdvft":
        sizes = sorted({math.ceil(smaller_side / k) for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)}, reverse=True)
        return [{"block_size": b} for b in sizes]
    return [{}]


def step_flops(method: str, d_in: int, d_out: int, tokens: int, **options: Any) -> float:
    """Return the exact FLOPs that a method adds to a training step with this many tokens, forward and backward."""
    return costs.flops(method, d_in, d_out, tokens=tokens, direction="both", **options)


def curves(d_in: int, d_out: int, tokens: int, methods: tuple[str, ...] = COMPARED) -> dict[str, list[dict]]:
    """Return, by method, one row per setting with its parameters, FLOPs per step and bytes saved for backward."""
    rows_of = {}
    for method in methods:
        rows_of[method] = [
            {
                "options": options,
                "parameters": costs.parameters(method, d_in, d_out, **options),
                "flops": step_flops(method, d_in, d_out, tokens, **options),
                "bytes": costs.saved_bytes(method, d_in, d_out, tokens, **options),
            }
            for options in settings(method, d_in, d_out)
        ]
    return rows_of


def crossings(first: list[Point], second: list[Point]) -> list[Point]:
    """Return the points where two curves of (x, y) cross, if their points are joined by lines on logarithmic axes.

    >>> crossings([(1, 1), (100, 100)], [(1, 100), (100, 1)])
    [(10.0, 10.0)]
    """
    a, b = ([(math.log(x), math.log(y)) for x, y in sorted(line)] for line in (first, second))
    points = []
    for (ax, ay), (bx, by) in zip(a, a[1:], strict=False):
        for (cx, cy), (dx, dy) in zip(b, b[1:], strict=False):
            low, high = max(ax, cx), min(bx, dx)
            if low >= high:
                continue
            slope, other_slope = (by - ay) / (bx - ax), (dy - cy) / (dx - cx)
            gap_low = ay + slope * (low - ax) - cy - other_slope * (low - cx)
            gap_high = ay + slope * (high - ax) - cy - other_slope * (high - cx)
            if gap_low * gap_high < 0:
                x = low + (high - low) * gap_low / (gap_low - gap_high)
                points.append((round(math.exp(x), 9), round(math.exp(ay + slope * (x - ax)), 9)))
    return points


def token_crossing(first: Callable[[int], float], second: Callable[[int], float]) -> float | None:
    """Return the number of tokens per step at which two methods cost the same; None if one is always cheaper.

    The result is exact, because a cost is linear in the tokens: a part per step plus a part per token.

    >>> token_crossing(lambda t: 100 + t, lambda t: 3 * t)
    50.0
    """
    per_step, other_per_step = first(0), second(0)
    slope_difference = (first(1) - per_step) - (second(1) - other_per_step)
    tokens = (other_per_step - per_step) / slope_difference if slope_difference else -1.0
    return tokens if tokens > 0 else None


def traces(d_in: int, d_out: int, tokens: int, r: int, b: int, methods: tuple[str, ...] = COMPARED) -> list[dict]:
    """Return the traces of the three panels of `figure` as dictionaries, each with the ``column`` of its panel."""
    result: list[dict] = []
    lines: list[dict[str, list[Point]]] = [{}, {}, {}]
    order = [*COMPARED, *methods]  # a method keeps its colour, whichever others are shown
    for method, rows in curves(d_in, d_out, tokens, methods).items():
        chosen, color = _nearest_row(rows, r, b), COLORS[order.index(method) % len(COLORS)]
        lines[0][method] = [(row["parameters"], row["flops"]) for row in rows]
        lines[1][method] = [(row["parameters"], row["bytes"]) for row in rows]
        per_step, with_one = (step_flops(method, d_in, d_out, t, **chosen["options"]) for t in (0, 1))
        lines[2][method] = [(t, per_step + t * (with_one - per_step)) for t in TOKENS]  # a cost is linear in the tokens
        points = [(chosen["parameters"], chosen["flops"]), (chosen["parameters"], chosen["bytes"]), None]
        name = f"{method} {', '.join(f'{key[0]}={value}' for key, value in chosen['options'].items())}"
        for column, (line, point) in enumerate(zip(lines, points, strict=True), 1):
            x, y = zip(*line[method], strict=True)
            common = {"name": name, "legendgroup": method, "column": column}
            line_style = {"mode": "lines", "line": {"color": color}, "showlegend": column == 1}
            result.append({**common, "x": x, "y": y, **line_style})
            if point:
                point_style = {"mode": "markers", "marker": {"color": color, "size": 11}, "showlegend": False}
                result.append({**common, "x": point[:1], "y": point[1:], **point_style})
    for column, line in enumerate(lines, 1):
        crossing_points = [p for one, two in combinations(line, 2) for p in crossings(line[one], line[two])]
        x, y = zip(*crossing_points, strict=True) if crossing_points else ((), ())
        cross_style = {"mode": "markers", "marker": {"symbol": "x", "color": "black", "size": 6}}
        result.append({"name": CROSSES, "column": column, "x": x, "y": y, **cross_style, "showlegend": column == 1})
    return result


def _title(d_in: int, d_out: int, tokens: int) -> str:
    return f"{d_in} → {d_out} features, {tokens} tokens per step, forward and backward"


def _described(d_in: int, d_out: int, tokens: int, drawn: list[dict]) -> str:
    """Return the alternative text: the costs at the large points, and how many crosses the panels have."""
    costs_of: dict[str, list[float]] = {}
    crosses = 0
    for trace in (trace for trace in drawn if trace["mode"] == "markers"):
        if trace["name"] == CROSSES:
            crosses += len(trace["x"])
        else:
            costs_of.setdefault(trace["name"], [*trace["x"]]).extend(trace["y"])
    lines = [
        f"{name}: {parameters:,} parameters, {flops:,.0f} FLOPs, {saved:,.0f} bytes saved"
        for name, (parameters, flops, saved) in costs_of.items()
    ]
    title = f"Costs of methods, {_title(d_in, d_out, tokens)}"
    return ". ".join([title, *lines, f"Crosses mark {crosses} points of equal cost."])


def figure(d_in: int, d_out: int, tokens: int, r: int, b: int, methods: tuple[str, ...] = COMPARED) -> go.Figure:
    """Draw three panels: FLOPs against parameters, saved bytes against parameters, and FLOPs against tokens.

    In the first two panels, a line varies the method's hyperparameter. The large points, and the lines of the third
    panel, have rank ``r`` and block size ``b``, or the nearest values that the layer allows. Crosses mark where two
    lines meet.
    """
    layout = [[{}, {}], [{}, None]]
    panels = make_subplots(rows=2, cols=2, specs=layout, horizontal_spacing=0.14, vertical_spacing=0.16)
    drawn = traces(d_in, d_out, tokens, r, b, methods)
    for trace in drawn:
        row, column = PLACES[trace["column"] - 1]
        panels.add_scatter(row=row, col=column, **{key: value for key, value in trace.items() if key != "column"})
    for (row, column), (x_title, y_title) in zip(PLACES, PANELS, strict=True):
        panels.update_xaxes(type="log", title=x_title, row=row, col=column)
        panels.update_yaxes(type="log", title=y_title, row=row, col=column)
    panels.update_layout(template=TEMPLATE, height=HEIGHT, width=WIDTH, margin={"t": 48, "b": 50, "l": 70, "r": 10})
    panels.update_layout(legend={"x": 0.6, "y": 0.38, "yanchor": "top", "font": {"size": 11}})
    panels.update_layout(title=_title(d_in, d_out, tokens), meta={"alt": _described(d_in, d_out, tokens, drawn)})
    return panels


def _nearest_row(rows: list[dict], r: int, b: int) -> dict:
    def distance(row: dict) -> float:
        for name, wanted in (("r", r), ("block_size", b)):
            if name in row["options"]:
                return abs(math.log(row["options"][name] / wanted))
        return -row["parameters"] if row["options"].get("n_frequency", 0) <= 1000 else 0.0

    return min(rows, key=distance)


def explorer(d: tuple[int, ...] = (256, 384, 768, 1024, 3072, 4096, 11008)):
    """Return `figure` with sliders for the layer's sizes, tokens, rank and block size, and a list of methods.

    Returns: an ipywidgets box. A change of a control draws the three panels again, in place.
    """
    import ipywidgets as widgets

    from .controls import Controls
    from .live_figure import LiveFigure

    def slider(label: str, options: tuple, value: int):
        style = {"description_width": "110px"}
        return widgets.SelectionSlider(description=label, options=options, value=value, style=style)

    powers = tuple(2**k for k in range(13))
    controls = {
        "d_in": slider("d_in", d, 768),
        "d_out": slider("d_out", d, 768),
        "tokens": slider("tokens per step", powers, 1024),
        "r": slider("rank r", RANKS, 8),
        "b": slider("block size b", powers[:13], 128),
        "methods": widgets.SelectMultiple(description="methods", options=COMPARED, value=COMPARED, rows=len(COMPARED)),
    }
    chosen = {name: control.value for name, control in controls.items()}
    shown, drawn_methods = LiveFigure(figure(**chosen)), chosen["methods"]

    def redraw(_=None) -> None:
        nonlocal drawn_methods
        values = {name: control.value for name, control in controls.items()}
        if values["methods"] == drawn_methods:  # the same traces with other values
            drawn, layer = traces(**values), {name: values[name] for name in ("d_in", "d_out", "tokens")}
            changed = [{name: trace[name] for name in ("x", "y", "name")} for trace in drawn]
            shown.change(changed, _title(**layer), _described(**layer, drawn=drawn))
        else:
            shown.draw(figure(**values))
            drawn_methods = values["methods"]

    for control in controls.values():
        control.observe(redraw, names="value")
    panel = widgets.HBox([widgets.VBox([c for n, c in controls.items() if n != "methods"]), controls["methods"]])
    box = Controls([panel, shown])
    box.redraw, box.controls = redraw, controls
    return box
