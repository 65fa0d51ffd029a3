"""The outcome of a search: its trials, the best rate, and advice in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .suggestion import APART, rounded

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
        return best_of(self.trials)

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
        """Return the outcome as values that JSON can hold; a loss that is not finite is None."""
        trials = [
            {
                **asdict(trial),
                "loss": finite_or_none(trial.loss),
                "losses": [(step, finite_or_none(loss)) for step, loss in trial.losses],
            }
            for trial in self.trials
        ]
        best = {"best": self.best.rate if self.best else None, "edge": self.edge, "moved": self.moved}
        return {**asdict(self), "trials": trials, **best, "advice": self.advice}


def best_of(trials: Sequence[RateTrial]) -> RateTrial | None:
    """Return the trial with the smallest loss, of equal ones the one with the smallest rate; None if all diverged."""
    return min((trial for trial in trials if not trial.diverged), key=lambda trial: trial.loss, default=None)


def finite_or_none(loss: float) -> float | None:
    """Return a loss as JSON can hold it: None stands for NaN and infinity."""
    return loss if math.isfinite(loss) else None
