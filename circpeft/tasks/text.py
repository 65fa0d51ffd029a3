"""Classification and regression tasks on one or two texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, matthews_corrcoef

from ..data_folders import TaskOptions, read_with_unused
from ..data_folders.split_names import SPLITS
from . import text_labels
from .columns import check_column, check_texts, rename_columns, with_composed
from .folder_names import folder_names, names_of_others


def _pearson(labels: Sequence, predictions: Sequence) -> float:
    # Undefined for constant values; 0, as in Matthews' coefficient, because NaN cannot be compared.
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
        hub: data set ID and configuration on the Hugging Face hub, or None for embedded data.
        group: a column by which the score is also broken down, if any.
        label_range: for regression, the smallest and largest label.
        publisher_names: columns with other names in the publisher's files, as pairs of that name and the task's name.
        headerless: columns of the publisher's tsv files that have no header.
    """

    name: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    metric: str
    hub: tuple[str, str] | None = None
    group: str | None = None
    label_range: tuple[float, float] | None = None
    publisher_names: tuple[tuple[str, str], ...] = ()
    headerless: tuple[str, ...] = ()

    kind = "text"

    @property
    def num_labels(self) -> int:
        """Size of the model's output: the number of classes, or 1 for regression."""
        return len(self.labels) or 1

    def predictions(self, logits: np.ndarray) -> np.ndarray:
        """Return class numbers ``(rows,)`` from logits ``(rows, num_labels)``, or the values for regression."""
        return logits.argmax(-1) if self.labels else logits.reshape(-1)

    def score(self, labels: Sequence, predictions: Sequence) -> float:
        """Return the task's metric; higher is better.

        >>> Task("t", ("sentence",), ("no", "yes"), "accuracy").score([0, 1, 1, 1], [0, 1, 1, 0])
        0.75
        """
        return float(METRICS[self.metric](labels, predictions))

    def prepare(self, data: DatasetDict) -> DatasetDict:
        """Check all of the data, and convert its labels to the task's numbers.

        A test split without labels, as in GLUE, is left out.

        Raises: ValueError for a missing train split or column (with the nearest name), an empty split, a text that is
        missing or not a string, a label that the task does not have (see `text_labels.numbered`), and a single class
        in train.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        ready = DatasetDict()
        for split, rows in ((split, data[split]) for split in SPLITS if split in data):
            if len(rows) == 0:
                raise ValueError(f"empty split: {split} of task {self.name!r} has no rows")
            if split == "test" and text_labels.hidden(rows, data["train"]):
                continue
            self._check_columns(split, rows)
            rows = with_composed(rows, self.group) if self.group else rows
            ready[split] = text_labels.numbered(self.name, split, rows, self.labels, self.label_range)
        text_labels.check_classes(self.name, ready["train"], self.labels)
        return ready

    def _check_columns(self, split: str, rows: Dataset) -> None:
        needed = [*self.columns, "label", *([self.group] if self.group else [])]
        for column in needed:
            check_column(self.name, split, rows, column, needed)
        for column in self.columns:
            check_texts(self.name, split, rows, column)

    def read_folder(self, folder: str | Path) -> DatasetDict:
        """Read the splits in a local folder, see `read_with_unused`."""
        return self.read_with_unused(folder)[0]

    def read_with_unused(self, folder: str | Path) -> tuple[DatasetDict, list[str]]:
        """Read the splits in a local folder under the task's names of columns, and name the data that is not read.

        Raises: see `data_folders.read_with_unused`.
        """
        options = TaskOptions(
            kind=self.kind,
            names=folder_names(self.name, self.hub),
            other_tasks=names_of_others(self.name),
            text_columns=(*self.columns, *(old for old, new in self.publisher_names if new in self.columns)),
            headerless_columns=self.headerless,
        )
        data, unused = read_with_unused(folder, options)
        return rename_columns(data, self.publisher_names), unused

    def used_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that the task uses, of those that a split has."""
        return (*self.columns, "label", *filter(None, [self.group]))

    def with_labels_of(self, data: DatasetDict) -> Task:
        """Return the task itself: its classes are known."""
        return self
