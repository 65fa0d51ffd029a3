"""Figures of finished runs epoch by epoch, for the notebooks 08 to 10."""

from __future__ import annotations

from pathlib import Path

from circpeft import plots
from circpeft.escaping import print_text
from circpeft.method_specs import get_spec
from circpeft.results import Result
from circpeft.suggest import nearest
from circpeft.training import weight_changes
from circpeft.training.weight_changes import LayerChange

from .comparison import name_of

POSITIONS = {"first": 0, "middle": 1, "last": -1}


def read(finished: list[Result], folder: str | Path) -> list[tuple[Result, list[LayerChange]]]:
    """Return the runs of seed 0 with their weight changes: the first, the middle and the last adapted layer of each.

    Methods that change no weight matrix are left out. For a run without a readable file, a line is printed.

    Args:
        finished: the records.
        folder: their output folder.
    """
    found = []
    for run in finished:
        if run.seed != 0 or get_spec(run.method).trains not in ("adapter", "all"):
            continue
        if not run.weight_changes:
            print_text(
                f"{run.label}: the record names no file of weight changes; delete the record to make the run again"
            )
            continue
        try:
            layers = weight_changes.read(Path(folder) / run.weight_changes)
        except (OSError, ValueError) as error:
            print_text(f"{run.label}: {error}")
            continue
        if layers and layers[0].epochs:
            found.append((run, layers))
    return found


def figures(changes: list[tuple[Result, list[LayerChange]]], usual_layers: str, position: str = "middle") -> list:
    """Return a figure per run: ``ΔW`` of one layer, epoch by epoch.

    Args:
        changes: the runs, from `read`.
        usual_layers: as in `comparison.name_of`.
        position: the layer, among the adapted ones: "first", "middle" or "last".

    Raises: ValueError for another position.
    """
    if position not in POSITIONS:
        raise ValueError(f"unknown position {position!r}; {nearest(position, POSITIONS)}")
    shown = []
    for run, layers in changes:
        change = layers[min(POSITIONS[position], len(layers) - 1)]
        shown.append(
            plots.weight_change(
                change.epochs,
                change.maps,
                change.singular_values,
                change.index,
                change.shape,
                change.step,
                change.ranks,
                title=f"{name_of(run, usual_layers)}: {change.layer.split('encoder.')[-1]}",
            )
        )
    return shown
