"""A trial: the first steps of a run, to compare settings by the validation loss. It records and saves nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

import torch
from transformers import PrinterCallback, TrainerCallback

from .. import methods
from ..method_specs import get_spec
from . import base_model, computed
from .loop import starting_model
from .preparation import Prepared
from .trainer import deterministic, make_trainer


@dataclass(frozen=True)
class Trial:
    """The outcome of a trial.

    Attributes:
        start_loss: loss on the validation rows before the first step; None if it was not asked for.
        loss: loss on them after the last step. NaN or infinite if the training diverged.
        losses: step and training loss of the steps that were logged.
        seconds: time of training and evaluation.
    """

    start_loss: float | None
    loss: float
    losses: tuple[tuple[int, float], ...]
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the last loss is not a finite number."""
        return not math.isfinite(self.loss)


def trial(
    prepared: Prepared, steps: int, evaluate_start: bool = True, callbacks: Iterable[TrainerCallback] = ()
) -> Trial:
    """Train the first steps of a prepared run, and evaluate the loss on its validation rows.

    The rows, their order, the seed and the warm-up's share are those of the run; the rate falls to zero at the last
    step. Two trials of recipes that differ only in a learning rate see the same batches.

    Args:
        prepared: the run, from `prepare`.
        steps: number of optimizer steps.
        evaluate_start: whether to evaluate the untrained model, too.
        callbacks: further callbacks for the Trainer.

    Raises: ValueError for a recipe without validation rows.
    """
    recipe, validation = prepared.recipe, prepared.encoded.get("validation")
    if validation is None:
        raise ValueError(
            f"a trial is scored on validation, and task {recipe.task!r} has no validation split with hold_out=False; "
            f"set hold_out=True"
        )
    begin = perf_counter()
    base = starting_model(prepared)
    head = methods.head_names(base)
    model = base_model.with_method(base, recipe)
    start_loss = None
    with deterministic(recipe):
        trainer = make_trainer(prepared, model, head, steps)
        trainer.remove_callback(PrinterCallback)  # stands in for the progress bar, and prints to stdout
        computed.check(trainer, recipe)
        if evaluate_start:
            with torch.random.fork_rng():  # the order of the rows depends on the seed only
                start_loss = trainer.loss_of(validation)
        for callback in (*callbacks, *get_spec(recipe.method).callbacks(model)):
            trainer.add_callback(callback)
        trainer.train()
        loss = trainer.loss_of(validation)
    logged = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return Trial(start_loss, loss, tuple(logged), perf_counter() - begin)
