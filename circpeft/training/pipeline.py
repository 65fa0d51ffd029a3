"""One run, from its recipe to its record."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from transformers import TrainerCallback

from .. import computation, results
from ..recipes import Recipe
from ..results import Result
from . import computed, distributed
from .loop import train
from .preparation import Prepared, check_settings, prepare, shared_rows
from .recording import record
from .saving import weight_faults, weights_of
from .turns import own_run


def run(recipe: Recipe, callbacks: Iterable[TrainerCallback] = ()) -> Result:
    """Train by a recipe, score its best epoch on validation (or its last) on test, and record it.

    A run with a record under the same settings, code, data and computation is read, not repeated. An interrupted run
    continues from its last finished epoch.

    Under ``<output_dir>`` the adapter is saved in ``adapters``, the model of a method that trains the model itself in
    ``models``, and TensorBoard's log, if the recipe asks for one, in ``logs``.

    Under ``torchrun`` or ``accelerate launch`` (FSDP included) every process calls this. All return the one record that
    the first process writes. The recipe's batch is that of all processes together, so that steps, losses and scores are
    those of one process.

    Args:
        recipe: the settings.
        callbacks: callbacks of the Trainer, to follow the run.

    Raises: whatever `check` raises, before any training; BusyError, which is an OSError, if another process makes this
    run; FloatingPointError if the training diverged.

    >>> run(Recipe("entailment", "c3a", epochs=0))
    Traceback (most recent call last):
    ...
    ValueError: epochs must be an integer of at least 1, got 0
    """
    ready = read_or_prepare(recipe)
    return ready if isinstance(ready, Result) else train_and_record(ready, callbacks)


def train_and_record(prepared: Prepared, callbacks: Iterable[TrainerCallback] = ()) -> Result:
    """Train a prepared run and record it, while no other process makes the same run.

    If another one has just finished it, its record is returned.

    Raises: BusyError, with the host and the ID of the other process; whatever `train` and `record` raise.
    """
    with own_run(prepared.recipe):
        first_process = distributed.state().is_main_process
        fingerprint = prepared.rows.fingerprint
        known = distributed.from_first(recorded(prepared.recipe, fingerprint) if first_process else None)
        return record(prepared, train(prepared, callbacks)) if known is None else known


def read_or_prepare(recipe: Recipe) -> Result | Prepared:
    """Return the record of a run if there is one, and else everything that `train` needs except for the weights.

    Raises: whatever `check` raises; ValueError for rows that do not fit into the model.
    """
    if not os.path.exists(results.path_of(recipe.name, recipe.output_dir)):
        check_settings(recipe)  # not for a record: a machine may read one that it could not produce
    rows = shared_rows(recipe)
    first_process = distributed.state().is_main_process
    known = distributed.from_first(recorded(recipe, rows.fingerprint) if first_process else None)
    return prepare(recipe, rows) if known is None else known


def recorded(recipe: Recipe, fingerprint: str) -> Result | None:
    """Return the record of a recipe under the present code and the data of a fingerprint, or None.

    A record that was computed in another way than this process would do it does not count, either. If the weights of
    the run are damaged, a warning names the file, and the record does not count.

    Raises: ValueError, naming the file, for one in its place that is not a record.
    """
    path = results.path_of(recipe.name, recipe.output_dir)
    if not os.path.exists(path):
        return None
    known = results.read(path)
    if (known.code, known.data) != (results.code_version(), fingerprint):
        return None
    if not computation.is_same(known.computation, computed.expected(recipe)):
        return None
    weights = weights_of(recipe)
    if found := weight_faults(recipe, known):
        warnings.warn(f"{recipe.name} is trained again: in {weights}, {found[0]}", stacklevel=2)
        return None
    if known.weights and not weights.is_dir():
        line = f"the weights of {recipe.name} are not at {weights}; to train it again, delete its record, {path}"
        warnings.warn(line, stacklevel=2)
    return known
