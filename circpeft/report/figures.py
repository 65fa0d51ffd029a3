"""Figures of the runs: test score against cost, and the singular values of the learnt updates."""

from __future__ import annotations

import json
import math
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import plotly.graph_objects as go

from .. import computation, escaping, plots, results
from ..plots.style import COLORS, MARKERS
from ..results import Result
from ..suggest import nearest
from .formatting import compact
from .records import Found, Run
from .runs import adapter_flops

# Axis -> (title, whether it is logarithmic, value from a record or None if the record has none).
AXES: dict[str, tuple[str, bool, Callable[[Result], float | None]]] = {
    "parameters": ("trainable parameters (without the head)", True, lambda result: result.trainable_parameters),
    "flops": ("FLOPs that the adapter adds per token", True, adapter_flops),
    "memory": ("peak memory (GB)", False, lambda result: result.peak_bytes / 1e9 or None),
    "seconds": ("seconds of training, including evaluations", False, lambda result: result.seconds),
}
MAX_SERIES = 14  # per figure: more would make the legend taller than the figure
MAX_NAMED_SETTINGS = 2  # settings that a series name spells out


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ only in their seed, and a name that is unique among the groups of a figure with their mark."""

    name: str
    runs: tuple[Run, ...]

    @property
    def mark(self) -> str:
        """Return the mark of the runs (see `Run`), which is the same for all."""
        return self.runs[0].mark

    @property
    def title(self) -> str:
        """Return the name for a legend: with the mark, if the runs have one."""
        return f"{self.name} ({self.mark})" if self.mark else self.name

    @property
    def scores(self) -> list[float]:
        """Return the test scores of the runs."""
        return [run.result.test_score for run in self.runs]


def panels(found: Found) -> dict[tuple[str, str, str], list[Group]]:
    """Return the groups of runs by (task, metric, model): one figure each, as only these scores can be compared."""
    runs_by_panel: dict[tuple[str, str, str], list[Run]] = {}
    for run in found.runs:
        runs_by_panel.setdefault((run.result.task, run.result.metric, run.result.settings["model"]), []).append(run)
    return {key: groups(runs) for key, runs in sorted(runs_by_panel.items())}


def groups(runs: list[Run]) -> list[Group]:
    """Group runs by mark, by settings without the seed, and by computation where it makes them incomparable.

    Groups of one label and mark have names with the settings that differ (and a number if more than two do), and with
    the facts of the computation. Groups with a mark come first.
    """
    marks = sorted({run.mark for run in runs}, key=lambda mark: (not mark, mark))
    return [group for mark in marks for group in _alike([run for run in runs if run.mark == mark])]


def _alike(runs: list[Run]) -> list[Group]:
    by_settings: dict[str, list[Run]] = {}
    for run in runs:
        settings = {name: value for name, value in run.result.settings.items() if name != "seed"}
        by_settings.setdefault(json.dumps([run.result.label, settings], sort_keys=True), []).append(run)
    labels: dict[str, list[list[Run]]] = {}
    for group in by_settings.values():
        labels.setdefault(group[0].result.label, []).append(group)
    named: list[Group] = []
    for label, label_groups in labels.items():
        of_groups = [group[0].result.settings for group in label_groups]
        differ = [name for name in of_groups[0] if name != "seed" and len({str(s.get(name)) for s in of_groups}) > 1]
        for number, (group, values) in enumerate(zip(label_groups, of_groups, strict=True), 1):
            words = ", ".join(f"{name}={values.get(name)}" for name in differ[:MAX_NAMED_SETTINGS])
            words += f", #{number}" if len(differ) > MAX_NAMED_SETTINGS else ""
            for facts, runs_alike in computation.split(group, lambda run: run.result.computation):
                details = "; ".join(filter(None, (words, facts)))
                named.append(Group(f"{label} ({details})" if details else label, tuple(runs_alike)))
    return named


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def scatter(found: Found, x: str = "parameters") -> list[go.Figure]:
    """Draw test score against cost: one figure per task and model, one point per method.

    A point is the mean over the seeds, with their standard deviation as error bar. The axes of parameters and FLOPs are
    logarithmic; a method that costs nothing there (``head`` trains only the head) is a dotted line at its score. A
    figure shows at most its 14 best methods, and its title says if there are more. A method has the same
    colour in all figures. Runs with a mark have points of their own: stars, before the 14 best.

    Args:
        found: what `scan` read.
        x: "parameters", "flops", "memory" or "seconds".

    Raises:
        ValueError: ``x`` has another value; the message names the nearest.
    """
    return [draw() for _, draw in drawings(found, x)]


def drawings(found: Found, x: str = "parameters") -> list[tuple[str, Callable[[], go.Figure]]]:
    """Return the title of each figure of `scatter`, with the function that draws it.

    Drawing takes most of the time, so this is for a reader who looks at one figure.

    Raises:
        ValueError: ``x`` is not one of `AXES`; the message names the nearest.
    """
    if x not in AXES:
        raise ValueError(f"unknown x {x!r}; {nearest(x, AXES)}")
    by_panel = panels(found)
    order, found_drawings = _order(by_panel), list[tuple[str, Callable[[], go.Figure]]]()
    for (task, metric, model), panel_groups in by_panel.items():
        costs = {group: _mean([AXES[x][2](run.result) for run in group.runs]) for group in _best(panel_groups)}
        if any(cost is not None for cost in costs.values()):
            left_out = f": best {MAX_SERIES} of {len(panel_groups)}" if len(panel_groups) > MAX_SERIES else ""
            title = f"{task}, {model}{left_out}"
            found_drawings.append((title, partial(_scatter, title, metric, costs, x, order)))
    return found_drawings


def _scatter(title: str, metric: str, costs: dict[Group, float | None], x: str, order: list[str]) -> go.Figure:
    x_title, log_x, _ = AXES[x]
    drawn = {g: cost for g, cost in costs.items() if cost is not None and (cost > 0 or not log_x)}
    series = {g.title: ([cost], [statistics.fmean(g.scores)], [_deviation(g.scores)]) for g, cost in drawn.items()}
    figure = plots.scatter(series, title=title, x_title=x_title, y_title=f"test {metric}", log_x=log_x)
    for group, trace in zip(drawn, figure.data, strict=True):
        color, symbol = _color_and_marker(group.name, order)
        marker = {"symbol": "star", "size": 14} if group.mark else {"symbol": symbol}
        trace.update(marker={"color": color, **marker}, error_y={"color": color})
    low, high = (min(drawn.values()), max(drawn.values())) if drawn else (1.0, 10.0)
    for group in (group for group, cost in costs.items() if cost == 0 and log_x):
        y, color = statistics.fmean(group.scores), _color_and_marker(group.name, order)[0]
        line = {"dash": "dot", "color": color, "width": 2}
        figure.add_scatter(
            x=[low / 1.4, high * 1.4], y=[y, y], mode="lines", line=line, name=escaping.plotly_name(f"{group.title}: 0")
        )
    if log_x:
        ticks = _ticks(low / 1.4, high * 1.4)
        figure.layout.xaxis.update(
            range=[math.log10(low / 1.4), math.log10(high * 1.4)],
            tickvals=ticks,
            ticktext=[_tick_text(t) for t in ticks],
        )
    figure.layout.showlegend = True
    figure.layout.margin.r = 90 + 7 * max(len(escaping.plain(trace.name)) for trace in figure.data)
    return figure


def _best(panel_groups: list[Group]) -> list[Group]:
    """Return the groups that a figure shows: those with a mark, then the best of the others."""
    return sorted(panel_groups, key=lambda group: (not group.mark, -statistics.fmean(group.scores)))[:MAX_SERIES]


def _order(by_panel: dict[tuple[str, str, str], list[Group]]) -> list[str]:
    """Return the sorted names of all groups of `panels`; a name's position decides its colour."""
    return sorted({group.name for panel_groups in by_panel.values() for group in panel_groups})


def _color_and_marker(name: str, order: list[str]) -> tuple[str, str]:
    """Return the colour and the marker of a group."""
    index = order.index(name)
    return COLORS[index % len(COLORS)], MARKERS[(index + index // len(COLORS)) % len(MARKERS)]


def _ticks(low: float, high: float) -> list[float]:
    """Return ticks of a logarithmic axis: powers of ten, and multiples of them if there are fewer than three."""
    tens = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for steps in ((1,), (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        ticks = [step * ten for ten in tens for step in steps if low <= step * ten <= high]
        if len(ticks) > 2:
            break
    return ticks


def _tick_text(value: float) -> str:
    text = compact(value)
    digits = text.rstrip("KMG")
    return f"{float(digits):g}{text[len(digits) :]}"


def _deviation(scores: list[float]) -> float:
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def spectra(found: Found) -> list[go.Figure]:
    """Draw the singular values of each method's ΔW: one figure per task, model and recorded layer.

    Each method is drawn with its lowest seed, unless its ΔW of the layer is zero. This reads the records again, as
    `scan` does not keep their spectra.
    """
    figures, by_panel = [], panels(found)
    order = _order(by_panel)
    for (task, _, model), panel_groups in by_panel.items():
        best = sorted(panel_groups, key=lambda group: -statistics.fmean(group.scores))[:MAX_SERIES]
        layers: dict[str, dict[str, np.ndarray]] = {}
        for group in best:
            first = min(group.runs, key=lambda run: run.result.seed)
            for layer, values in _spectra_of(first).items():
                if values and max(values) > 0:
                    # The weights are float32, so the rank in the legend is counted at that precision.
                    layers.setdefault(layer, {})[group.name] = np.asarray(values, dtype=np.float32)
        for layer, items in layers.items():
            title = f"{task}, {model}: ΔW of {layer.split('encoder.')[-1]}"
            figure = plots.spectrum(items, title=title, relative=True)
            for name, trace in zip(items, figure.data, strict=True):
                color, symbol = _color_and_marker(name, order)
                trace.update(line={"color": color}, marker={"color": color, "symbol": symbol})
            figures.append(figure)
    return figures


def _spectra_of(run: Run) -> dict[str, list[float]]:
    """Return the spectra in the file of a run; none if it is gone or was damaged after the scan."""
    try:
        return results.read(run.path).spectra
    except (OSError, ValueError) as error:
        warnings.warn(f"the singular values of {run.name} are left out: {error}", stacklevel=2)
        return {}
