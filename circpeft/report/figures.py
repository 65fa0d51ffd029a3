"""Figures of what was found: scores against what a method costs, and what it has learnt."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from .. import plots, results
from ..plots.style import COLORS, MARKERS
from ..results import Result
from ..suggest import nearest
from .formatting import compact
from .records import Found, Run
from .runs import adapter_flops

# Name of an axis -> its title, whether it is logarithmic, and what it shows of a record; None where that does not tell.
AXES: dict[str, tuple[str, bool, Callable[[Result], float | None]]] = {
    "parameters": ("trainable parameters (head left out)", True, lambda result: result.trainable_parameters),
    "flops": ("FLOPs that the adapter adds for a token", True, adapter_flops),
    "memory": ("peak memory (GB)", False, lambda result: result.peak_bytes / 1e9 or None),
    "seconds": ("seconds of training with its evaluations", False, lambda result: result.seconds),
}
SERIES = 14  # that one figure shows: its legend is as high as it is
DIFFERENCES = 2  # settings that a name tells


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in their seed alone, and the name that tells them from the others."""

    name: str
    runs: tuple[Run, ...]

    @property
    def scores(self) -> list[float]:
        """Their test scores."""
        return [run.result.test_score for run in self.runs]


def panels(found: Found) -> dict[tuple[str, str, str], list[Group]]:
    """(task, metric, model) -> its groups: what may stand in one figure, since its scores can be compared."""
    of: dict[tuple[str, str, str], list[Run]] = {}
    for run in found.runs:
        of.setdefault((run.result.task, run.result.metric, run.result.settings["model"]), []).append(run)
    return {key: groups(runs) for key, runs in sorted(of.items())}


def groups(runs: list[Run]) -> list[Group]:
    """Runs by their settings without the seed; a label that has several settings is told apart by what differs."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        settings = {name: value for name, value in run.result.settings.items() if name != "seed"}
        found.setdefault(json.dumps([run.result.label, settings], sort_keys=True), []).append(run)
    labels: dict[str, list[list[Run]]] = {}
    for group in found.values():
        labels.setdefault(group[0].result.label, []).append(group)
    named = []
    for label, own in labels.items():
        settings = [group[0].result.settings for group in own]
        differ = [name for name in settings[0] if name != "seed" and len({str(s.get(name)) for s in settings}) > 1]
        for number, (group, values) in enumerate(zip(own, settings, strict=True), 1):
            words = ", ".join(f"{name}={values.get(name)}" for name in differ[:DIFFERENCES])
            words += f", #{number}" if len(differ) > DIFFERENCES else ""
            named.append(Group(f"{label} ({words})" if len(own) > 1 else label, tuple(group)))
    return named


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def scatter(found: Found, x: str = "parameters") -> list[go.Figure]:
    """Test score against what a method costs, a figure a task and model, a point a method.

    A point is the mean over the seeds, its whiskers their standard deviation. On the logarithmic axes of parameters and
    FLOPs a method that costs nothing (a head alone has no parameters of its own) is a dotted line at its score. Methods
    beyond the best 14 of a figure are left out, which its title then tells. A method has one colour in all figures.

    Args: ``x``: "parameters", "flops", "memory" or "seconds".

    Raises: ValueError for another ``x``, with the nearest.
    """
    if x not in AXES:
        raise ValueError(f"unknown x {x!r}; {nearest(x, AXES)}")
    order = _order(found)
    made = {key: _scatter(*key, own, x, order) for key, own in panels(found).items()}
    return [figure for figure in made.values() if figure is not None]


def _scatter(task: str, metric: str, model: str, own: list[Group], x: str, order: list[str]) -> go.Figure | None:
    x_title, log_x, measure = AXES[x]
    best = sorted(own, key=lambda group: -statistics.fmean(group.scores))[:SERIES]
    costs = {group: _mean([measure(run.result) for run in group.runs]) for group in best}
    if all(cost is None for cost in costs.values()):
        return None
    drawn = {g: cost for g, cost in costs.items() if cost is not None and (cost > 0 or not log_x)}
    series = {g.name: ([cost], [statistics.fmean(g.scores)], [_deviation(g.scores)]) for g, cost in drawn.items()}
    title = f"{task}, {model}" + (f": best {SERIES} of {len(own)}" if len(own) > SERIES else "")
    figure = plots.scatter(series, title=title, x_title=x_title, y_title=f"test {metric}", log_x=log_x)
    for trace in figure.data:
        color, symbol = _look(trace.name, order)
        trace.update(marker={"color": color, "symbol": symbol}, error_y={"color": color})
    low, high = (min(drawn.values()), max(drawn.values())) if drawn else (1.0, 10.0)
    for group in (group for group, cost in costs.items() if cost == 0 and log_x):
        y, line = statistics.fmean(group.scores), {"dash": "dot", "color": _look(group.name, order)[0], "width": 2}
        figure.add_scatter(x=[low / 1.4, high * 1.4], y=[y, y], mode="lines", line=line, name=f"{group.name}: 0")
    if log_x:
        ticks = _ticks(low / 1.4, high * 1.4)
        figure.layout.xaxis.update(
            range=[math.log10(low / 1.4), math.log10(high * 1.4)], tickvals=ticks, ticktext=[_short(t) for t in ticks]
        )
    figure.layout.showlegend = True
    figure.layout.margin.r = 90 + 7 * max(len(trace.name) for trace in figure.data)
    return figure


def _order(found: Found) -> list[str]:
    """The names of all groups, which decides their colours."""
    return sorted({group.name for own in panels(found).values() for group in own})


def _look(name: str, order: list[str]) -> tuple[str, str]:
    """Colour and marker of a group."""
    at = order.index(name)
    return COLORS[at % len(COLORS)], MARKERS[(at + at // len(COLORS)) % len(MARKERS)]


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten of a logarithmic axis; with their doubles and fives where these are fewer than three."""
    tens = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for steps in ((1,), (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        ticks = [step * ten for ten in tens for step in steps if low <= step * ten <= high]
        if len(ticks) > 2:
            break
    return ticks


def _short(value: float) -> str:
    words = compact(value)
    digits = words.rstrip("KMG")
    return f"{float(digits):g}{words[len(digits) :]}"


def _deviation(scores: list[float]) -> float:
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def spectra(found: Found) -> list[go.Figure]:
    """Singular values of what each method has learnt, a figure a task, model and watched layer.

    Of each method the lowest seed; a method that leaves the layer as it is, is not drawn. The records are read again,
    for this alone.
    """
    figures, order = [], _order(found)
    for (task, _, model), own in panels(found).items():
        best = sorted(own, key=lambda group: -statistics.fmean(group.scores))[:SERIES]
        layers: dict[str, dict[str, np.ndarray]] = {}
        for group in best:
            first = min(group.runs, key=lambda run: run.result.seed)
            for layer, values in results.read(first.path).spectra.items():
                if values and max(values) > 0:
                    # The weights are float32: the rank that the legend gives is counted at that precision.
                    layers.setdefault(layer, {})[group.name] = np.asarray(values, dtype=np.float32)
        for layer, items in layers.items():
            title = f"{task}, {model}: ΔW of {layer.split('encoder.')[-1]}"
            figure = plots.spectrum(items, title=title, relative=True)
            for name, trace in zip(items, figure.data, strict=True):
                color, symbol = _look(name, order)
                trace.update(line={"color": color}, marker={"color": color, "symbol": symbol})
            figures.append(figure)
    return figures
