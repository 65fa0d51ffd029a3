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
from ..recipes.recipe import RATES
from ..training import Prepared, distributed
from .suggestion import APART, rounded, suggest

LEAST_STEPS = 10
MOVED = 0.01  # share of the start loss below which a trial has learnt nothing


@dataclass(frozen=True)
class RateTrial:
    """A trial at one rate: the validation loss after the last step (NaN if it diverged), and the training losses."""

    rate: float
    loss: float
    losses: tuple[tuple[int, float], ...]
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the loss is not a finite number: the rate is hopeless."""
        return not math.isfinite(self.loss)


@dataclass(frozen=True)
class Search:
    """The outcome of a search.

    Attributes:
        label: the method with its hyperparameters.
        model, task: of the recipe.
        steps: optimizer steps of each trial.
        start_loss: validation loss before training.
        trials: one for each rate, smallest rate first.
        folder: where the trials are kept.
    """

    label: str
    model: str
    task: str
    steps: int
    start_loss: float
    trials: tuple[RateTrial, ...]
    folder: str

    @property
    def best(self) -> RateTrial | None:
        """The trial with the smallest validation loss; None if all diverged."""
        return _best(self.trials)

    @property
    def moved(self) -> bool:
        """Whether the best trial ends at least 1 % below the start loss."""
        return self.best is not None and self.start_loss - self.best.loss >= MOVED * abs(self.start_loss)

    @property
    def edge(self) -> str:
        """ "smallest" or "largest" if the best rate is at an end of those tried, else ""."""
        if self.best in (self.trials[0], self.trials[-1]):
            return "smallest" if self.best is self.trials[0] else "largest"
        return ""

    @property
    def text(self) -> str:
        """The outcome as lines of text."""
        lines = [
            f"{self.label} on {self.task}, {self.steps} steps a trial; validation loss {self.start_loss:.4f} before"
        ]
        for trial in self.trials:
            mark = "  best" if trial is self.best else "  worse than the start" * (trial.loss > self.start_loss)
            lines.append(f"{trial.rate:>9.2g}  {'diverged' if trial.diverged else f'{trial.loss:.4f}{mark}'}")
        return "\n".join([*lines, *self.advice])

    @property
    def advice(self) -> tuple[str, ...]:
        """Sentences about the outcome."""
        if self.best is None:
            return (f"All trials diverged. Try rates below {self.trials[0].rate:g}.",)
        if not self.moved:
            return (
                "The loss hardly moved at any rate: raise the number of steps, and check the labels and the layers in "
                "target_modules.",
            )
        advice = [
            f"Begin with {self.best.rate:g}. Short trials favour large rates: for a long run try the next smaller."
        ]
        if self.edge:
            factor = 1 / APART if self.edge == "smallest" else APART
            advice.append(
                f"This is the {self.edge} rate tried; a {'smaller' if factor < 1 else 'larger'} one, such as "
                f"{rounded(self.best.rate * factor):g}, may be better."
            )
        return tuple(advice)

    def figure(self) -> Any:
        """Return a plotly figure: validation loss against rate, the start loss as a line, diverged rates as crosses."""
        from ..plots import lines
        from ..plots.style import INK

        finite = [trial for trial in self.trials if not trial.diverged]
        ends = [self.trials[0].rate, self.trials[-1].rate]
        series = {"before training": (ends, [self.start_loss] * 2)}
        if finite:
            series = {"after training": ([t.rate for t in finite], [t.loss for t in finite]), **series}
        title = f"{self.label} on {self.task}: {self.steps} steps"
        figure = lines(series, title, "learning rate", "validation loss", log_x=True, markers=True)
        if diverged := [trial.rate for trial in self.trials if trial.diverged]:
            marker = {"symbol": "x", "size": 10, "color": INK}
            figure.add_scatter(
                x=diverged, y=[self.start_loss] * len(diverged), mode="markers", name="diverged", marker=marker
            )
        return figure

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as values that JSON can hold; the loss of a diverged trial is None."""
        trials = [{**asdict(trial), "loss": None if trial.diverged else trial.loss} for trial in self.trials]
        best = {"best": self.best.rate if self.best else None, "edge": self.edge, "moved": self.moved}
        return {**asdict(self), "trials": trials, **best, "advice": self.advice}


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

    Raises: ValueError for too few steps or rates, for a rate that is not positive, and in several processes; whatever
    `circpeft.training.prepare` raises.
    """
    if type(steps) is not int or steps < LEAST_STEPS:
        raise ValueError(f"steps must be an integer of at least {LEAST_STEPS}, got {steps!r}; 60 to 100 are usual")
    if distributed.is_shared():
        raise ValueError("a search runs in one process; start it without torchrun or accelerate launch")
    chosen = sorted({check_rate(rate) for rate in (_default_rates(recipe) if rates is None else rates)})
    if len(chosen) < 2:
        raise ValueError(f"give at least two different rates, got {list(rates or ())!r}; such as 3e-4,1e-3,3e-3")
    if rows:
        recipe = replace(recipe, max_eval=min(rows, recipe.max_eval or rows))
    prepared = training.prepare(with_rate(recipe, chosen[0]))
    runner = _Runner(prepared, recipe, steps, progress)
    trials = [runner.trial(rate) for rate in chosen]
    best = _best(trials)
    if best in (trials[0], trials[-1], None):
        # Where all diverge, smaller rates are the hope.
        up = best is trials[-1]
        further = rounded(chosen[-1] ** 2 / chosen[-2] if up else chosen[0] ** 2 / chosen[1])
        trials = sorted([*trials, runner.trial(further)], key=lambda trial: trial.rate)
    folder = str(runner.folder)
    return Search(recipe.label, recipe.model, recipe.task, steps, runner.start_loss, tuple(trials), folder)


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return a recipe with another rate, and with the rate of the head that belongs to it.

    >>> with_rate(Recipe("entailment", "lora"), 0.1).rates, with_rate(Recipe("entailment", "head"), 0.1).rates
    ((0.1, 0.0003), (0.1, 0.1))
    """
    trains = get_spec(recipe.method).trains
    given = recipe.hyperparameters.get("head_learning_rate") or recipe.head_learning_rate
    head_rate = rate if trains == "head" else given or (rate if trains == "all" else recipe.rates[1])
    options = {name: value for name, value in recipe.hyperparameters.items() if name not in RATES}
    return replace(recipe, hyperparameters=options, learning_rate=rate, head_learning_rate=head_rate)


def _default_rates(recipe: Recipe) -> tuple[float, ...]:
    given = recipe.hyperparameters.get("learning_rate") or recipe.learning_rate
    if given:
        return tuple(rounded(given * APART**power) for power in range(-2, 3))
    return suggest(recipe.model, recipe.method, target_modules=recipe.target_modules or None, **recipe.options).rates


def _best(trials: Sequence[RateTrial]) -> RateTrial | None:
    return min((trial for trial in trials if not trial.diverged), key=lambda trial: trial.loss, default=None)


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
            known = {
                "identity": identity,
                "start_loss": start,
                "loss": None if done.diverged else done.loss,
                "losses": [[step, loss if math.isfinite(loss) else None] for step, loss in done.losses],
                "seconds": done.seconds,
            }
            write_atomically(path, json.dumps(known, indent=1) + "\n")
        self.start_loss = known["start_loss"]
        loss = math.nan if known["loss"] is None else known["loss"]
        losses = tuple((step, math.nan if value is None else value) for step, value in known["losses"])
        return RateTrial(rate, loss, losses, known["seconds"])


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {name: known[name] for name in ("identity", "start_loss", "loss", "losses", "seconds")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not the file of a trial ({error!r}); move it away, or give another folder"
        ) from error


class _Bar(TrainerCallback):
    """Moves a progress bar with the steps of a trial."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def on_step_end(self, *arguments: Any, **options: Any) -> None:
        self.bar.update()
