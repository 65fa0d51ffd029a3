"""A search for the learning rate: short trials of a recipe that differ only in the rate."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback

from .. import training
from ..files import write_atomically
from ..learning_rates import check_rate
from ..method_specs import get_spec
from ..recipes import Recipe
from ..recipes.checks import RATES, check_unrepeated
from ..run_files import json_files
from ..run_files.json_files import Number, Positive
from ..training import Prepared, distributed
from .outcome import RateTrial, Search, best_of, finite_or_none
from .suggestion import APART, rounded, suggest

LEAST_STEPS = 10


def search(
    recipe: Recipe, rates: Sequence[float] | None = None, steps: int = 60, *, rows: int = 512, progress: bool = True
) -> Search:
    """Train the first steps of a recipe at each of several rates, and compare the validation losses.

    Every trial has the same seed, start and batches, and the recipe's share of warm-up; its rate falls to zero at the
    last step. The head keeps its own rate, unless the method trains the whole model or only the head. If the best rate
    is at an end of those tried, one more is tried beyond it.

    Each trial is written to ``<output_dir>/rates`` when it ends. Repeating the search with the same settings, code and
    data reads it there, so that an interruption loses only the trial that was running.

    Args:
        recipe: the run for which a rate is sought.
        rates: the rates; by default five, three times apart, around the recipe's own or else the suggested one.
        steps: optimizer steps of a trial, at least 10.
        rows: the most validation rows on which the loss is evaluated; 0 takes all.
        progress: whether to show a progress bar.

    Raises: ValueError for too few steps or rates, for a rate that is not positive or is given twice, in several
    processes, and for a model whose loss is not finite before training; whatever `circpeft.training.prepare` raises.
    """
    if type(steps) is not int or steps < LEAST_STEPS:
        raise ValueError(f"steps must be an integer of at least {LEAST_STEPS}, got {steps!r}; 60 to 100 are usual")
    if distributed.is_shared():
        raise ValueError("a search runs in one process; start it without torchrun or accelerate launch")
    if rates is not None:
        check_unrepeated("the list of rates", map(check_rate, rates))
    chosen = sorted({check_rate(rate) for rate in (_default_rates(recipe) if rates is None else rates)})
    if len(chosen) < 2:
        raise ValueError(f"give at least two different rates, got {list(rates or ())!r}; such as 3e-4,1e-3,3e-3")
    if rows:
        recipe = replace(recipe, max_eval=min(rows, recipe.max_eval or rows))
    prepared = training.prepare(with_rate(recipe, chosen[0]))
    runner = _Runner(prepared, recipe, steps, progress)
    trials = [runner.trial(rate) for rate in chosen]
    best = best_of(trials)
    if best in (trials[0], trials[-1], None):
        # Where all diverge, smaller rates are the hope.
        up = best is trials[-1]
        further = rounded(chosen[-1] ** 2 / chosen[-2] if up else chosen[0] ** 2 / chosen[1])
        if further not in chosen:  # two rates that are nearly the same may be rounded to one of them
            trials = sorted([*trials, runner.trial(further)], key=lambda trial: trial.rate)
    folder = str(runner.folder)
    return Search(recipe.label, recipe.model, recipe.task, steps, runner.start_loss, tuple(trials), folder)


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return a recipe with another rate, and with the rate of the head that belongs to it.

    >>> with_rate(Recipe("entailment", "lora"), 0.1).rates, with_rate(Recipe("entailment", "head"), 0.1).rates
    ((0.1, 0.0003), (0.1, 0.1))
    """
    spec = get_spec(recipe.method)
    given = recipe.hyperparameters.get("head_learning_rate") or recipe.head_learning_rate
    head_rate = rate if spec.trains == "head" else given or (rate if spec.trains == "all" else recipe.rates[1])
    options = {name: value for name, value in recipe.hyperparameters.items() if name not in RATES}
    return replace(recipe, hyperparameters=options, learning_rate=rate, head_learning_rate=head_rate)


def _default_rates(recipe: Recipe) -> tuple[float, ...]:
    given = recipe.hyperparameters.get("learning_rate") or recipe.learning_rate
    if given:
        return tuple(rounded(given * APART**power) for power in range(-2, 3))
    targets: dict[str, Any] = {
        "target_modules": recipe.target_modules or None,
        "target_parameters": recipe.target_parameters,
    }
    return suggest(recipe.model, recipe.method, **targets, **recipe.options).rates


class _Runner:
    """Trains or reads trials of one prepared run."""

    def __init__(self, prepared: Prepared, recipe: Recipe, steps: int, progress: bool) -> None:
        self.prepared, self.recipe, self.steps, self.progress = prepared, recipe, steps, progress
        self.folder = Path(recipe.output_dir) / "rates"
        self.start_loss = math.nan

    def trial(self, rate: float) -> RateTrial:
        """Return the trial at a rate, from its file if it has one."""
        prepared = replace(self.prepared, recipe=with_rate(self.recipe, rate))
        identity = {
            "settings": prepared.recipe.settings,
            "steps": self.steps,
            "code": prepared.code,
            "data": prepared.rows.fingerprint,
            "computation": prepared.computation,
        }
        path = self.folder / f"{prepared.recipe.name}-{self.steps}.json"
        known = _read(path)
        if known is None or known["identity"] != identity:
            with tqdm(total=self.steps, desc=f"rate {rate:.2g}", disable=not self.progress) as bar:
                done = training.trial(prepared, self.steps, math.isnan(self.start_loss), [_Bar(bar)])
            start = self.start_loss if done.start_loss is None else done.start_loss
            if not math.isfinite(start):
                raise ValueError(
                    f"the validation loss is {start} before training, so no learning rate can help; check the data, "
                    f"precision={self.recipe.precision!r} and base_dtype={self.recipe.base_dtype!r}"
                )
            known = {
                "identity": identity,
                "start_loss": start,
                "loss": finite_or_none(done.loss),
                "losses": [[step, finite_or_none(loss)] for step, loss in done.losses],
                "seconds": done.seconds,
            }
            write_atomically(path, json.dumps(known, indent=1) + "\n")
        self.start_loss = known["start_loss"]
        loss = math.nan if known["loss"] is None else known["loss"]
        losses = tuple((step, math.nan if value is None else value) for step, value in known["losses"])
        return RateTrial(rate, loss, losses, known["seconds"])


@dataclass(frozen=True)
class _TrialFile:
    """The file of a trial. A loss that was not finite is None."""

    identity: dict[str, Any]
    start_loss: Number
    loss: Number | None
    losses: list[tuple[int | float, Number | None]]
    seconds: Positive


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a trial's file; None without one.

    Raises: ValueError, naming the file and the field, for one that is not such a file.
    """
    remedy = "it is not the file of a trial; move it away, or give another folder"
    return asdict(json_files.read(path, _TrialFile, remedy=remedy)[0]) if path.exists() else None


class _Bar(TrainerCallback):
    """Moves a progress bar with the steps of a trial."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def on_step_end(self, *arguments: Any, **options: Any) -> None:
        self.bar.update()
