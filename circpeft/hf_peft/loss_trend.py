"""Whether a loss moves in the first hundred steps of a training."""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import Any

STEPS, WINDOW = 100, 20
RISE = 1.5  # a loss that has grown by this factor is far above its start


class LossTrend:
    """The first and the latest losses of a training, and what they say after the first hundred steps.

    Steps of a warm-up, whose rate is still below half of the highest, do not count towards the hundred.

    >>> trend = LossTrend()
    >>> for step in range(STEPS):
    ...     trend.add(1.0 + 0.1 * (-1) ** step, warm=True)
    >>> trend.complete, trend.verdict()
    (True, 'flat')
    """

    def __init__(self, first: list[float] | None = None, last: list[float] | None = None, counted: int = 0) -> None:
        self.first, self.last, self.counted = list(first or ()), list(last or ()), counted

    @property
    def complete(self) -> bool:
        """Whether the hundred steps are over."""
        return self.counted >= STEPS

    def add(self, loss: float, warm: bool) -> None:
        """Note the loss of a step. ``warm`` tells whether the warm-up is over."""
        if len(self.first) < WINDOW:
            self.first.append(loss)
        self.last = [*self.last, loss][-WINDOW:]
        self.counted += warm

    def verdict(self) -> str:
        """Return "flat", "risen", or "" for a loss that has fallen or cannot be judged.

        "flat": the mean of the last twenty steps is not below that of the first twenty by more than the standard error
        of the difference. "risen": it is above the start by half, and by more than the batches differ among themselves.
        Losses that are not all positive, as in reinforcement learning, cannot be judged.
        """
        losses = [*self.first, *self.last]
        if not all(0 < loss < math.inf for loss in losses):
            return ""
        start, end, noise = fmean(self.first), fmean(self.last), stdev(self.last)
        # A training that fails in its first steps begins below the mean of the first twenty.
        start_at_most = min(start, self.first[0] + 3 * noise)
        if end > RISE * start_at_most:
            return "risen"
        error = math.sqrt((stdev(self.first) ** 2 + noise**2) / WINDOW)
        return "flat" if start - end <= error else ""

    def summary(self) -> str:
        """Return both means as text.

        >>> LossTrend([2.0, 4.0], [1.0]).summary()
        'from 3 to 1'
        """
        return f"from {fmean(self.first):.4g} to {fmean(self.last):.4g}"

    def state(self) -> dict[str, Any]:
        """Return the arguments that give this state again, as plain values."""
        return {"first": self.first, "last": self.last, "counted": self.counted}
