"""The file that shows how ``ΔW`` of a few layers grew: a heat map and singular values after each epoch.

It lies beside a run's record, under ``<output_dir>/weight_changes``, and the record has its path. A file has at most
about 60 KB, however long the run and however large the layers.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ..run_files import json_files
from ..run_files.json_files import Count, Name, Within

SCHEMA = 1
FOLDER = "weight_changes"
Side = Annotated[int, Within(1, 2**31)]
MOST_EPOCHS, MOST_VALUES, MOST_SIDE = 8, 64, 48
CELLS = 27_000  # of all heat maps of a run together
LEVELS = 127  # a cell is a whole number from -127 to 127, in units of the largest entry / 127


@dataclass(frozen=True)
class LayerChange:
    """The change ``ΔW: (d_out, d_in)`` of one layer after each recorded epoch.

    Attributes:
        layer: name of the layer in the base model.
        shape: ``(d_out, d_in)``.
        step: the heat maps have every ``step``-th row and column.
        epochs: numbers of the recorded epochs, from 1.
        maps: a heat map per epoch, ``(rows, columns)``; each entry is within 1/254 of the map's largest.
        index: places of the recorded singular values in the descending order, from 1.
        singular_values: those values per epoch, in three digits. 0 where they do not differ from rounding.
        ranks: the numerical rank of ``ΔW`` per epoch. None for a layer too large for singular values.
    """

    layer: str
    shape: tuple[int, int]
    step: int
    epochs: list[int]
    maps: list[np.ndarray]
    index: list[int]
    singular_values: list[list[float]]
    ranks: list[int] | None


def path_of(name: str) -> str:
    """Return the path of a run's file in its output folder, as the record has it.

    >>> path_of("rte-c3a-s0")
    'weight_changes/rte-c3a-s0.json'
    """
    return f"{FOLDER}/{name}.json"


def epochs_to_record(epochs: int) -> list[int]:
    """Return the epochs after which a run is recorded: all of a short run, evenly spaced ones of a long run.

    >>> epochs_to_record(3), epochs_to_record(30)
    ([1, 2, 3], [1, 5, 9, 13, 18, 22, 26, 30])
    """
    return sorted({round(float(epoch)) for epoch in np.linspace(1, epochs, min(epochs, MOST_EPOCHS))})


def step_of(shape: tuple[int, int], maps: int) -> int:
    """Return the distance of the rows and columns that a heat map has, for ``maps`` heat maps in the file.

    >>> step_of((384, 384), maps=9), step_of((384, 1536), maps=24)
    (8, 47)
    """
    side = min(MOST_SIDE, math.isqrt(CELLS // maps))
    return -(-max(shape) // side)


def recorded_index(count: int) -> list[int]:
    """Return the places of the singular values to record, from 1: the first ones, and then ever fewer to the last.

    >>> recorded_index(5), len(recorded_index(4096)), recorded_index(4096)[-1]
    ([1, 2, 3, 4, 5], 64, 4096)
    """
    if count <= MOST_VALUES:
        return list(range(1, count + 1))
    half = MOST_VALUES // 2
    return sorted({*range(1, half + 1), *(round(float(place)) for place in np.geomspace(half + 1, count, half))})


def encoded_map(cells: np.ndarray) -> dict[str, Any]:
    """Return a heat map as its largest magnitude and one byte per cell in base64, row by row."""
    largest = float(f"{np.abs(cells).max():.6g}")
    levels = np.rint(cells * (LEVELS / largest)) if largest else np.zeros_like(cells)
    levels = levels.clip(-LEVELS, LEVELS).astype(np.int8)
    return {"largest": largest, "cells": base64.b64encode(levels.tobytes()).decode()}


@dataclass(frozen=True)
class _MapEntry:
    """What the file has of one layer after one epoch; the heat map as `encoded_map` returns it."""

    largest: Annotated[float, Within(0, 1e300)]
    cells: str
    rank: Count
    singular_values: list[Annotated[float, Within(0, 1e300)]]


@dataclass(frozen=True)
class _LayerEntry:
    """What the file has of one layer, whatever the epoch."""

    name: Name
    shape: tuple[Side, Side]
    step: Side
    index: list[Count]


@dataclass(frozen=True)
class _EpochEntry:
    """What the file has of one epoch, with an entry per layer."""

    epoch: Count
    layers: list[_MapEntry]


@dataclass(frozen=True)
class _File:
    """The schema of the file."""

    run: str
    layers: list[_LayerEntry]
    epochs: list[_EpochEntry]


def read(path: str | Path) -> list[LayerChange]:
    """Read a run's file: the first, the middle and the last adapted layer, in this order.

    Raises: OSError for a file that cannot be opened; ValueError, naming the file and the field, for one that is damaged
    or of another schema.
    """
    remedy = "delete it, and the run's record to make it again"
    try:
        data, _ = json_files.read(path, _File, SCHEMA)
        return [_layer(layer, number, data.epochs) for number, layer in enumerate(data.layers)]
    except ValueError as error:  # binascii.Error of base64 is one
        reason = error.reason if isinstance(error, json_files.FileError) else f"it has {error}"
        raise ValueError(
            f"{path} is not a file of weight changes: it {reason.removeprefix('it ')}; {remedy}"
        ) from error


def _layer(layer: _LayerEntry, number: int, epochs: list[_EpochEntry]) -> LayerChange:
    (d_out, d_in), step, index = layer.shape, layer.step, layer.index
    cells = -(-d_out // step), -(-d_in // step)
    for epoch in epochs:
        if len(epoch.layers) <= number:
            raise ValueError(f"{len(epoch.layers)} layers in epoch {epoch.epoch}, expected at least {number + 1}")
        if len(values := epoch.layers[number].singular_values) != len(index):
            raise ValueError(f"{len(values)} singular values in epoch {epoch.epoch}, expected {len(index)}")
    entries = [epoch.layers[number] for epoch in epochs]
    return LayerChange(
        layer=layer.name,
        shape=(d_out, d_in),
        step=step,
        epochs=[epoch.epoch for epoch in epochs],
        maps=[_decoded_map(entry, cells) for entry in entries],
        index=list(index),
        singular_values=[entry.singular_values for entry in entries],
        ranks=[entry.rank for entry in entries] if index else None,
    )


def _decoded_map(entry: _MapEntry, shape: tuple[int, int]) -> np.ndarray:
    levels = np.frombuffer(base64.b64decode(entry.cells, validate=True), dtype=np.int8)
    if levels.size != shape[0] * shape[1]:
        raise ValueError(f"a heat map of {levels.size} cells, expected {shape[0]} by {shape[1]}")
    return levels.reshape(shape) * (entry.largest / LEVELS)


def content(run: str, layers: Iterable[dict[str, Any]], epochs: Iterable[dict[str, Any]]) -> str:
    """Return the text of a run's file."""
    data = {"schema": SCHEMA, "run": run, "layers": list(layers), "epochs": list(epochs)}
    return json.dumps(data, separators=(",", ":")) + "\n"
