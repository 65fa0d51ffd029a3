"""What a task is: columns, labels, metric, and where its data comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, matthews_corrcoef


def _pearson(labels: Sequence, predictions: Sequence) -> float:
    # Undefined for constant values; 0 as in Matthews' coefficient, since NaN is neither better nor worse.
    return pearsonr(labels, predictions).statistic if min(np.ptp(labels), np.ptp(predictions)) > 0 else 0.0


METRICS = {
    "accuracy": lambda labels, predictions: accuracy_score(labels, predictions),
    "matthews": lambda labels, predictions: matthews_corrcoef(labels, predictions),
    "pearson": _pearson,
}


@dataclass(frozen=True)
class Task:
    """A classification or regression task on one or two texts.

    Args:
        name: the task's name.
        columns: the text columns, one or two.
        labels: the class names in the order of their numbers; empty for regression.
        metric: "accuracy", "matthews" or "pearson" (GLUE's choices).
        hub: data set id and configuration on the Hugging Face hub, or None for embedded data.
        group: a column by which the score is broken down, if there is one.
        label_range: for regression, the smallest and largest label.
    """

    name: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    metric: str
    hub: tuple[str, str] | None = None
    group: str | None = None
    label_range: tuple[float, float] | None = None

    @property
    def num_labels(self) -> int:
        """Size of the model's output: the number of classes, or 1 for regression."""
        return len(self.labels) or 1

    def predictions(self, logits: np.ndarray) -> np.ndarray:
        """Class numbers ``(rows,)`` from logits ``(rows, num_labels)``, or the values themselves for regression."""
        return logits.argmax(-1) if self.labels else logits.reshape(-1)

    def score(self, labels: Sequence, predictions: Sequence) -> float:
        """The task's metric; higher is better.

        >>> Task("t", ("sentence",), ("no", "yes"), "accuracy").score([0, 1, 1, 1], [0, 1, 1, 0])
        0.75
        """
        return float(METRICS[self.metric](labels, predictions))
