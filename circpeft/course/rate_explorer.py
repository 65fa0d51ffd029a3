"""The rate explorer of notebook 02: one task over learning rates, scales and block sizes, as figures and sliders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from ..plots.heatmaps import heatmap_trace
from ..plots.style import COLORS, INK, MARKERS, TEMPLATE, color_range
from .rate_task import Runs, make_task, train_c3a, train_lora

WIDTH, RANK = 64, 8
BLOCKS = (64, 32, 16, 8, 4)
RATES = tuple(round(10 ** (k / 4), 6) for k in range(-16, 6))  # four in each power of ten
SCALES = {"lora": "√k", "paper": "d<sub>in</sub>"}  # the divisors of C(w)
REFERENCE = f"LoRA r={RANK}"


def final_losses(
    alpha: float | str | None, b: int = WIDTH, rates: Sequence[float] = RATES, seeds: int = 1, outputs: int = 1
) -> list[float]:
    """Return the loss at the end for each learning rate, as the geometric mean over seeds; 1 is the loss at the start.

    Args:
        alpha: the scale of C3A; None for LoRA.
        b: the block size of C3A.
        rates: learning rates.
        seeds: number of tasks.
        outputs: outputs of the task.

    >>> [loss < 0.5 for loss in final_losses("lora", 16, rates=[1e-4, 1e-2])]
    [False, True]
    """
    logs = [_train(alpha, b, tuple(rates), outputs, seed).losses[:, -1].log() for seed in range(seeds)]
    return torch.stack(logs).mean(0).exp().tolist()


def half_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the lowest learning rate at which the loss falls to one half, between two rates on a logarithmic axis.

    Raises: ValueError if the loss starts below one half, or never falls to it.

    >>> half_rate([0.01, 0.1, 1.0], [0.9, 0.6, 0.4])
    0.316228
    """
    below = next((i for i, loss in enumerate(losses) if loss <= 0.5), 0)
    if not below:
        raise ValueError(f"the losses {[round(x, 3) for x in losses]} do not fall from above 0.5 to below it")
    share = (losses[below - 1] - 0.5) / (losses[below - 1] - losses[below])
    return round(rates[below - 1] * (rates[below] / rates[below - 1]) ** share, 6)


def best_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the learning rate with the lowest loss.

    >>> best_rate([0.01, 0.1, 1.0], [0.9, 0.2, 3.0])
    0.1
    """
    return rates[min(range(len(losses)), key=losses.__getitem__)]


def sweep(
    blocks: Sequence[int] = BLOCKS, rates: Sequence[float] = RATES, seeds: int = 1, outputs: int = 1
) -> dict[str, dict]:
    """Return ``{scale: {block size: losses}}`` with one loss per rate. The key None of each scale holds LoRA's."""
    reference = final_losses(None, WIDTH, rates, seeds, outputs)
    return {
        scale: {None: reference} | {b: final_losses(scale, b, rates, seeds, outputs) for b in blocks}
        for scale in SCALES
    }


def sweep_figure(losses: dict[str, dict], rates: Sequence[float] = RATES) -> go.Figure:
    """Draw the result of `sweep`: one panel per scale, one line per block size, and LoRA's line in both.

    A large marker is the lowest point of a line.
    """
    titles = [f'alpha="{scale}": ΔW = C(w) / {SCALES[scale]}' for scale in losses]
    panels = make_subplots(rows=1, cols=len(losses), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, lines in enumerate(losses.values(), 1):
        for i, (b, line) in enumerate(lines.items()):
            color = COLORS[i - 1] if b else INK
            name, lowest = f"C3A b={b}" if b else REFERENCE, best_rate(rates, line)
            panels.add_scatter(
                x=rates,
                y=line,
                name=name,
                mode="lines",
                line={"color": color, "width": 2.2, "dash": "solid" if b else "dash"},
                legendgroup=name,
                showlegend=column == 1,
                row=1,
                col=column,
            )
            panels.add_scatter(
                x=[lowest],
                y=[min(line)],
                name=f"{name}, best rate",
                mode="markers",
                marker={"color": color, "size": 11, "symbol": MARKERS[i]},
                showlegend=False,
                row=1,
                col=column,
            )
    panels.update_xaxes(type="log", dtick=1, exponentformat="power", title="learning rate of Adam")
    panels.update_yaxes(type="log", dtick=1, exponentformat="power", range=[-2, 0.7])
    panels.update_yaxes(title="loss at the end / at the start", col=1)
    panels.update_layout(template=TEMPLATE, height=420, width=1000, margin={"t": 84, "r": 150})
    panels.update_layout(title="One task, all rates, five block sizes, and LoRA")
    return panels


@lru_cache(maxsize=64)  # most moves of a slider leave LoRA's run, or C3A's, as it was
def _train(alpha: float | str | None, b: int, rates: tuple[float, ...], outputs: int, seed: int = 0) -> Runs:
    task = make_task(WIDTH, outputs, seed=seed)
    return train_lora(task, rates, RANK) if alpha is None else train_c3a(task, alpha, b, rates)


def traces(alpha: float | str, b: int, rate: float, outputs: int = 1) -> tuple[list[dict], list[str]]:
    """Return the traces of the three panels of `figure`, each with its ``column``, and the titles of the panels."""
    runs = {f"C3A b={b}": _train(alpha, b, (rate,), outputs), REFERENCE: _train(None, WIDTH, (rate,), outputs)}
    result: list[dict] = []
    for k, (name, run) in enumerate(runs.items()):
        style = {"line": {"color": COLORS[0] if k == 0 else INK, "width": 2.2, "dash": "dash" if k else "solid"}}
        values = torch.linalg.svdvals(run.deltas[0])
        for column, line in ((1, run.losses[0]), (3, values.clamp_min(1e-9))):
            start = 0 if column == 1 else 1
            points = {"x": list(range(start, start + len(line))), "y": line.tolist()}
            result.append({"name": name, "column": column, "mode": "lines", **points, **style, "legendgroup": name})
            result[-1]["showlegend"] = column == 1
    delta = next(iter(runs.values())).deltas[0]
    lowest, highest, colors = color_range([delta.numpy()], signed=True)
    picture = heatmap_trace(delta.numpy(), lowest, highest, colors, showscale=False, name="ΔW")
    result.append({"column": 2, **picture.to_plotly_json()})
    titles = [
        f"loss at the end: {float(runs[f'C3A b={b}'].losses[0, -1]):.2g}",
        f"ΔW of C3A: entries up to {float(delta.abs().max()):.2g}",
        f"norm of ΔW: {_norm(delta):.2g}",
    ]
    return result, titles


def _norm(delta: Tensor) -> float:
    return float(torch.linalg.matrix_norm(delta, 2))


def _title(alpha: float | str, b: int, rate: float, outputs: int) -> str:
    return f'alpha="{alpha}", b={b}, learning rate {rate:.2g}, {outputs} output{"s" * (outputs > 1)}'


def figure(alpha: float | str, b: int, rate: float, outputs: int = 1) -> go.Figure:
    """Draw one run of C3A beside LoRA's at the same rate: the loss, the learnt ``ΔW``, and its singular values."""
    found, titles = traces(alpha, b, rate, outputs)
    panels = make_subplots(rows=1, cols=3, horizontal_spacing=0.09, subplot_titles=titles)
    for trace in found:
        column = trace["column"]
        kind = {k: v for k, v in trace.items() if k not in ("type", "xaxis", "yaxis", "column")}
        panels.add_trace((go.Heatmap if trace.get("type") == "heatmap" else go.Scatter)(**kind), row=1, col=column)
    log = {"type": "log", "dtick": 1, "exponentformat": "power"}
    panels.update_yaxes(**log, range=[-2.2, 1.2], title="loss / loss at the start", col=1)
    panels.update_yaxes(**log, range=[-5.2, 1.7], title="singular value", col=3)
    panels.update_yaxes(autorange="reversed", showgrid=False, col=2)
    for column, title in enumerate(("step", "input", "index"), 1):
        panels.update_xaxes(title=title, col=column)
    panels.update_layout(template=TEMPLATE, height=430, width=1000, margin={"t": 84, "b": 90, "l": 64, "r": 24})
    # Below the panels: beside them, the legend would be cut off in a window of 1,300 pixels.
    panels.update_layout(legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.22, "yanchor": "top"})
    title = _title(alpha, b, rate, outputs)
    return panels.update_layout(title=title, meta={"alt": _described(title, found, titles)})


def _described(title: str, found: list[dict], titles: list[str]) -> str:
    """Return the alternative text: the settings, the losses at the end, and the titles of the panels of ΔW."""
    losses = [f"{trace['name']} {trace['y'][-1]:.2g}" for trace in found if trace.get("mode") and trace["column"] == 1]
    return f"{title}. Loss at the end as a share of that at the start: {', '.join(losses)}. {titles[1]}; {titles[2]}."


def explorer():
    """Return `figure` with controls for the scale, the learning rate, the block size and the outputs of the task.

    Returns: an ipywidgets box. A change of a control trains again, in about a tenth of a second, and redraws in place.
    """
    import ipywidgets as widgets

    from .controls import Controls
    from .live_figure import LiveFigure

    style, layout = {"description_width": "110px"}, {"width": "460px"}
    chosen = {"alpha": "paper", "b": 16, "rate": RATES[4], "outputs": 1}
    slider = widgets.SelectionSlider
    controls = {
        "alpha": widgets.ToggleButtons(
            description="alpha",
            options=list(SCALES),
            value=chosen["alpha"],
            style=style | {"button_width": "90px"},
            layout=layout,
        ),
        "rate": slider(
            description="learning rate",
            options=[(f"{rate:.2g}", rate) for rate in RATES],
            value=chosen["rate"],
            style=style,
            layout=layout,
        ),
        "b": slider(description="block size b", options=sorted(BLOCKS), value=chosen["b"], style=style, layout=layout),
        "outputs": slider(
            description="outputs", options=(1, 4, 16), value=chosen["outputs"], style=style, layout=layout
        ),
    }
    shown = LiveFigure(figure(**chosen))

    def redraw(_=None) -> None:
        shown.draw(figure(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(redraw, names="value")
    box = Controls([*controls.values(), shown])
    box.redraw, box.controls, box.figure = redraw, controls, shown
    return box
