"""An animated figure of a learnt change ``ΔW``: its heat map and its singular values, epoch by epoch."""

import numpy as np
import plotly.graph_objects as go

from ..escaping import plotly
from .animations import animation
from .heatmaps import heatmap_trace, matrix_axes
from .style import COLORS, TEMPLATE, as_array, as_matrix, color_range, translucent

MAP, VALUES = (0.0, 0.41), (0.61, 1.0)  # the panels, in shares of the plot area's width
SIDE = 310  # pixels of the heat map's longer side


def weight_change(epochs, maps, singular_values, index=None, shape=None, step=1, ranks=None, title=""):
    """Draw how ``ΔW`` of a layer grew: on the left its heat map, on the right its singular values, a frame per epoch.

    All frames have one colour scale, centred at zero, and the same axes. The singular values of earlier epochs stay
    visible as faint lines. A zero is not drawn on the logarithmic axis. With one epoch the figure has no frames.

    The arguments are the attributes of `circpeft.training.weight_changes.LayerChange`.

    Args:
        epochs: numbers of the epochs, in ascending order.
        maps: a matrix per epoch, all of the same shape: ``ΔW``, or every ``step``-th row and column of it.
        singular_values: the recorded singular values per epoch, largest first; empty lists if they are not known.
        index: their places in the descending order, from 1; None if none was left out.
        shape: ``(d_out, d_in)``; None takes that of the maps.
        step: distance of the rows and columns in the maps.
        ranks: the numerical rank of ``ΔW`` per epoch, or None to leave it out.
        title: title of the figure.

    Raises:
        ValueError: if there is no epoch, or if a list does not match the epochs or the index.

    >>> figure = weight_change([1, 2], [np.eye(2), 3 * np.eye(2)], [[1.0, 1.0], [3.0, 3.0]], ranks=[2, 2])
    >>> len(figure.frames), figure.data[0].zmax
    (2, 3.0)
    """
    epochs = [int(epoch) for epoch in epochs]
    maps = [as_matrix(cells, "a map") for cells in maps]
    values = [as_array(list(row), "singular_values").reshape(-1) for row in singular_values]
    places = np.arange(1, len(values[0]) + 1) if index is None and values else as_array(list(index or []), "index")
    _check(epochs, maps, values, places, ranks)
    shape = tuple(shape or maps[0].shape)
    layout = _layout(maps[0].shape, step, values, places, title)
    lowest, highest, scale = color_range(maps, signed=True)
    count = min(shape)

    def still(number):
        figure = go.Figure(layout=layout)
        bar = {"thickness": 12, "outlinewidth": 0, "x": MAP[1] + 0.015, "xpad": 0, "len": 1, "ypad": 0, "nticks": 7}
        figure.add_trace(heatmap_trace(maps[number], lowest, highest, scale, colorbar=bar))
        figure.data[0].update(hovertemplate=f"{step} × row %{{y}}, {step} × column %{{x}}: %{{z:.3g}}<extra></extra>")
        for other, epoch in enumerate(epochs):
            current = other == number
            shown = values[other] if other <= number else np.full(len(places), np.nan)
            figure.add_scatter(
                x=places,
                y=np.where(shown > 0, shown, np.nan),  # a log axis has no zero
                name=f"epoch {epoch}",
                mode="lines+markers" if current else "lines",
                line={"color": COLORS[0] if current else translucent(COLORS[0], 0.3), "width": 2.4 if current else 1.4},
                marker={"size": 4, "color": COLORS[0]},
                hovertemplate=f"epoch {epoch}, value %{{x}} of {count}: %{{y:.3g}}<extra></extra>",
                xaxis="x2",
                yaxis="y2",
            )
        thinned = f" (1 row and column in {step})" if step > 1 else ""
        right = "Singular values" if len(places) else "Singular values: not computed for this size"
        right += f": rank {ranks[number]} of {count}" if ranks is not None else ""
        figure.layout.annotations = [
            _heading(f"ΔW after epoch {epochs[number]}{thinned}", MAP),
            _heading(right, VALUES),
        ]
        return figure

    stills = [still(number) for number in range(len(epochs))]
    figure = stills[0] if len(stills) == 1 else animation(stills, [f"epoch {e}" for e in epochs], title, fps=1.5)
    figure.layout.meta = {**(figure.layout.meta or {}), "alt": _described(epochs, maps, values, ranks, count, title)}
    return figure


def _check(epochs, maps, values, places, ranks):
    if not epochs:
        raise ValueError("weight_change() needs at least one epoch")
    for name, given in (("maps", maps), ("singular_values", values), ("ranks", ranks)):
        if given is not None and len(given) != len(epochs):
            raise ValueError(f"there are {len(given)} {name} for {len(epochs)} epochs; give one per epoch")
    for epoch, cells, row in zip(epochs, maps, values, strict=True):
        if cells.shape != maps[0].shape:
            raise ValueError(f"the map of epoch {epoch} has shape {cells.shape}, that of the first {maps[0].shape}")
        if len(row) != len(places):
            raise ValueError(f"epoch {epoch} has {len(row)} singular values, expected {len(places)}, as index has")


def _layout(cells, step, values, places, title):
    layout = go.Layout(template=TEMPLATE, title={"text": plotly(title)}, showlegend=False)
    layout.margin = {"l": 56, "r": 24, "t": 76, "b": 52}
    layout.width, layout.height = round(SIDE / MAP[1]) + 80, SIDE + 128
    layout.update(matrix_axes(*cells, step=step, x_domain=MAP))
    for axis, name, count, room in ((layout.xaxis, "column", cells[1], 40), (layout.yaxis, "row", cells[0], 18)):
        labelled = range(0, count, -(-room * max(cells) // SIDE))  # `room` pixels for each label
        axis.update(title={"text": name}, tickvals=[*labelled], ticktext=[str(step * place) for place in labelled])
    positive = np.concatenate(values)
    positive = positive[positive > 0]
    # Whole decades, so that the axis of a flat spectrum has two labels as well.
    low, high = (np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))) if len(positive) else (-1, 0)
    last = places[-1] if len(places) else 1
    ticks = [place for place in (1, 10, 100, 1000, 10_000) if place <= last]
    layout.xaxis2 = {
        "type": "log",
        "domain": VALUES,
        "anchor": "y2",
        "title": {"text": "place, largest first"},
        "tickvals": ticks,
        "ticktext": [str(place) for place in ticks],
        "range": [-0.05, float(np.log10(last)) + 0.05],
    }
    layout.yaxis2 = {
        "type": "log",
        "anchor": "x2",
        "title": {"text": "singular value"},
        "dtick": 1,
        "exponentformat": "power",
        "range": [float(low) - 0.1, float(max(high, low + 1)) + 0.1],
    }
    for axis in (layout.xaxis, layout.yaxis, layout.xaxis2, layout.yaxis2):
        axis.update(tickfont={"size": 11}, title={"font": {"size": 13}})
    return layout


def _heading(text, panel):
    position = {"xref": "paper", "yref": "paper", "x": sum(panel) / 2, "y": 1.0, "yshift": 6}
    return {
        "text": text,
        **position,
        "xanchor": "center",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 13},
    }


def _described(epochs, maps, values, ranks, count, title):
    """Return the alternative text: what the figure shows, and the numbers of its last epoch."""
    after = f"epoch {epochs[-1]}" if len(epochs) == 1 else f"epochs {', '.join(str(epoch) for epoch in epochs)}"
    largest = float(np.abs(maps[-1]).max())
    text = f"{title or 'ΔW'}: heat map and singular values after {after}. The largest entry shown is {largest:.2g}"
    if len(values[-1]):
        shown = values[-1][values[-1] > 0]
        text += f"; singular values {shown[0]:.2g} to {shown[-1]:.2g}" if len(shown) else "; all singular values are 0"
    return text + (f"; rank {ranks[-1]} of {count}." if ranks is not None else ".")
