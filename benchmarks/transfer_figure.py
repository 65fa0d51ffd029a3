"""The picture of the scores over learning rates: a column per width, at the rates of C(w) / sqrt(k) and of C(w)."""

import math

import numpy as np
import plotly.graph_objects as go

from circpeft.plots.style import COLORS, MARKERS, TEMPLATE, translucent

PANEL, GAP, LEGEND = 230, 50, 130  # pixels
TICKS = [digit * 10.0**power for power in range(-5, 1) for digit in (1, 3)]
ROWS = ("learning rate, ΔW = C(w) / √k", "learning rate / √k, for ΔW = C(w)")


def mean_and_spread(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rates, the mean score of each, and its standard deviation over seeds (0 for one seed)."""
    rates = sorted({row["learning_rate"] for row in rows})
    scores = [[row["score"] for row in rows if row["learning_rate"] == rate] for rate in rates]
    return np.array(rates), np.array([np.mean(s) for s in scores]), np.array([np.std(s) for s in scores])


def picture(rows: list[dict]) -> go.Figure:
    """Draw validation score against learning rate: C3A with a line per block size, LoRA dashed.

    The upper panels have the rates as they were run, the lower ones those of the plain sum, rate / sqrt(k).
    """
    columns = list(dict.fromkeys((row["task"], row["epochs"], row["rows"], row["width"]) for row in rows))
    parts = sorted({row["width"] // row["block_size"] for row in rows if row["method"] == "c3a"})
    width, height = len(columns) * (PANEL + GAP), 2 * (PANEL + GAP)
    layout = {"template": TEMPLATE, "width": width + LEGEND + 90, "height": height + 100}
    figure = go.Figure(layout={**layout, "title": {"text": "Validation score against learning rate"}})
    figure.layout.margin.r, named = LEGEND, set()
    for column, key in enumerate(columns):
        here = [row for row in rows if (row["task"], row["epochs"], row["rows"], row["width"]) == key]
        for line, x_title in enumerate(ROWS):
            number = 2 * column + line + 1
            axis = "" if number == 1 else str(number)
            left, top = column / len(columns), 1 - 0.55 * line
            figure.layout[f"xaxis{axis}"] = {
                "type": "log",
                "domain": [left, left + PANEL / (PANEL + GAP) / len(columns)],
                "anchor": f"y{axis}",
                **_scale(here, line),
                "title": {"text": x_title},
            }
            figure.layout[f"yaxis{axis}"] = {
                "domain": [top - 0.42, top],
                "anchor": f"x{axis}",
                "title": {"text": f"{key[0]}, score" if column == 0 or columns[column - 1][0] != key[0] else ""},
            }
            place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 1.0, "yshift": 10}
            figure.add_annotation(text=f"{key[0]}, width {key[3]}", showarrow=False, **place)
            for i, part in enumerate(parts):
                of = [row for row in here if row["method"] == "c3a" and row["width"] // row["block_size"] == part]
                if not of:
                    continue
                label = "b = d" if part == 1 else f"b = d/{part}"
                shift = 1 / math.sqrt(part) if line else 1.0
                _line(figure, of, shift, axis, label, label not in named, COLORS[i % 6], MARKERS[i % len(MARKERS)])
                named.add(label)
            lora = [row for row in here if row["method"] == "lora"]
            if lora and not line:
                _line(figure, lora, 1.0, axis, "LoRA", "LoRA" not in named, "#000000", "circle", "dash")
                named.add("LoRA")
    return figure


def _scale(rows: list[dict], plain: int) -> dict:
    """Return the range of the axis, and ticks at 1 and 3 times powers of ten in it."""
    parts = [row["width"] / row["block_size"] if plain and row["block_size"] else 1 for row in rows]
    rates = [row["learning_rate"] / math.sqrt(part) for row, part in zip(rows, parts, strict=True)]
    low, high = min(rates) / 1.25, max(rates) * 1.25
    ticks = [tick for tick in TICKS if low < tick < high]
    labels = [f"{tick:g}" for tick in ticks]
    return {"range": [math.log10(low), math.log10(high)], "tickvals": ticks, "ticktext": labels}


def _line(figure, rows, shift, axis, label, in_legend, color, marker, dash="solid") -> None:
    rates, means, spread = mean_and_spread(rows)
    x, place = rates * shift, {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "legendgroup": label}
    if spread.any():
        band = {"x": np.r_[x, x[::-1]], "y": np.r_[means - spread, (means + spread)[::-1]]}
        style = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": translucent(color, 0.1)}
        figure.add_scatter(**band, **style, **place, hoverinfo="skip", showlegend=False)
    style = {
        "line": {"color": color, "width": 2.2, "dash": dash},
        "marker": {"symbol": marker, "size": 7, "color": color},
    }
    figure.add_scatter(x=x, y=means, name=label, mode="lines+markers", showlegend=in_legend, **style, **place)
