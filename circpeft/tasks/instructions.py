"""Instruction tuning: prompts, reference answers, and how a model's answer is compared with the reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Value

from ..data_folders import TaskOptions, read_with_unused
from ..data_folders.split_names import SPLITS
from .columns import check_column, check_texts, rename_columns, with_composed
from .folder_names import folder_names, names_of_others
from .scoring import values

REFERENCE_CHARACTERS = 120  # of the end of a reference, in an error
PROMPT = "### Instruction:\n{instruction}\n\n### Response:\n"


@dataclass(frozen=True)
class InstructionTask:
    """A task in which a language model answers a prompt made of columns.

    Args:
        name: the task's name.
        columns: the text columns that a row needs: those of the instruction, then that of the answer.
        instruction: returns the instruction of a row.
        same: returns whether an answer is right, given the reference first; None if only the loss is measured (Alpaca).
        hub: data set ID and configuration on the Hugging Face hub, or None for embedded data.
        has_answer: returns whether a reference contains an answer to compare with; None accepts every text.
        expected: what such a reference looks like, for the error.
        optional: a text column that may be missing or have empty rows; a split without it gets an empty column.
        max_new_tokens: the largest number of tokens generated for an answer.
        share: the share of the published rows that is used, see `hub.published_share` (C3A section 4.3: 12.5% of SQL).
        template: the prompt's template, with ``{instruction}`` in it.
        group: a column by which the score is also broken down, if the data has it.
        publisher_names: columns with other names in the publisher's files, as pairs of that name and the task's name.
        by_value: compare answers with math-verify, too, for `other_scores`.
    """

    name: str
    columns: tuple[str, ...]
    instruction: Callable[[dict], str]
    same: Callable[[str, str], bool] | None
    hub: tuple[str, ...] | None = None
    has_answer: Callable[[str], bool] | None = None
    expected: str = ""
    optional: str | None = None
    max_new_tokens: int = 256
    share: float = 1.0
    template: str = PROMPT
    group: str | None = None
    publisher_names: tuple[tuple[str, str], ...] = ()
    by_value: bool = False

    kind = "instructions"
    labels = ()

    @property
    def metric(self) -> str:
        """ "exact_match", or "negative_loss" if answers are not compared."""
        return "exact_match" if self.same else "negative_loss"

    @property
    def answer_column(self) -> str:
        """The column of the reference answers."""
        return self.columns[-1]

    def prompt(self, row: dict[str, Any]) -> str:
        """Return the prompt of a row, up to where the answer begins.

        >>> from circpeft import tasks
        >>> tasks.get("gsm8k").prompt({"question": "1 + 1?", "answer": "#### 2"})
        '### Instruction:\\n1 + 1?\\n\\n### Response:\\n'
        """
        return self.template.format(instruction=self.instruction(row).strip())

    def score(self, references: Sequence[str], written: Sequence[str]) -> float:
        """Return the share of right answers.

        Args:
            references: the reference of each row.
            written: the model's answer to each row.

        Raises: ValueError for a task that does not compare answers.

        >>> from circpeft import tasks
        >>> tasks.get("gsm8k").score(["#### 1,000", "#### 2"], ["so 1000", "I would say 3"])
        0.5
        """
        if self.same is None:
            raise ValueError(f"task {self.name!r} does not compare answers; its metric is the loss")
        right = [self.same(reference, answer) for reference, answer in zip(references, written, strict=True)]
        return sum(right) / len(right)

    def other_scores(self, references: Sequence[str], written: Sequence[str]) -> dict[str, float]:
        """Return the shares of right answers by other rules: "math_verify" for MATH, which compares values.

        Warn if math-verify is not installed, and return nothing then.
        """
        if not self.by_value or not written:
            return {}
        if not values.is_installed():
            warnings.warn(
                f"task {self.name!r}: math-verify is not installed, so answers are compared only by their spelling; "
                f"the extra circpeft[math] adds a score by their value",
                stacklevel=2,
            )
            return {}
        right = [values.same_value(reference, answer) for reference, answer in zip(references, written, strict=True)]
        return {"math_verify": sum(right) / len(right)}

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
            text_columns=(*self.columns, *filter(None, [self.optional]), *(old for old, _ in self.publisher_names)),
        )
        data, unused = read_with_unused(folder, options)
        return rename_columns(data, self.publisher_names), unused

    def used_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that the task uses, of those that a split has."""
        return (*self.columns, *filter(None, [self.optional, self.group]))

    def with_labels_of(self, data: DatasetDict) -> InstructionTask:
        """Return the task itself: it has no classes."""
        return self

    def prepare(self, data: DatasetDict) -> DatasetDict:
        """Check the text columns, and return only these.

        Raises: ValueError for a missing train split or column (with the nearest name), an optional column with a name
        that differs by capital letters or blanks, an empty split, a value that is missing or not a text, and a
        reference without an answer to compare with.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        names = [name for name in SPLITS if name in data]
        data = self._with_optional(DatasetDict({name: data[name] for name in names}))
        # A group that only some splits have is left out, so that all splits have the same columns.
        optional = [c for c in (self.optional, self.group) if c and all(c in data[name].column_names for name in names)]
        return DatasetDict({name: self._columns(name, data[name], optional) for name in names})

    def _with_optional(self, data: DatasetDict) -> DatasetDict:
        """Add an empty optional column to the splits that lack it, if one has it: dropping it would lose its texts."""
        if not self.optional:
            return data
        for split, rows in data.items():
            if any(name.strip().lower() == self.optional for name in rows.column_names):  # "Input" raises an error
                check_column(self.name, split, rows, self.optional)
        if not any(self.optional in rows.column_names for rows in data.values()):
            return data
        completed = DatasetDict()
        for split, rows in data.items():
            if self.optional not in rows.column_names:
                rows = rows.add_column(self.optional, [None] * len(rows), feature=Value("string"))
            completed[split] = rows
        return completed

    def _columns(self, split: str, rows: Dataset, optional: list[str]) -> Dataset:
        if len(rows) == 0:
            raise ValueError(f"empty split: {split} of task {self.name!r} has no rows")
        for column in self.columns:
            check_column(self.name, split, rows, column, self.columns)
            integers = column == self.answer_column and self.has_answer is not None
            check_texts(self.name, split, rows, column, integers)
            rows = _as_texts(rows, column) if integers else rows
        for row, text in enumerate(rows[self.optional] if self.optional in optional else ()):
            if not isinstance(text, str | None):
                raise ValueError(
                    f"row {row} of split {split} of task {self.name!r} has {text!r} in column {self.optional!r}; "
                    f"expected a text, or no value"
                )
        if self.same is not None:
            self._check_references(split, rows)
        rows = with_composed(rows, self.group) if self.group in optional else rows
        return rows.select_columns([*self.columns, *optional])

    def _check_references(self, split: str, rows: Dataset) -> None:
        column = self.answer_column
        for row, text in enumerate(rows[column]):
            place = f"row {row} of split {split} of task {self.name!r}"
            if not text.strip():
                raise ValueError(f"{place} has an empty {column!r}")
            if self.has_answer and not self.has_answer(text):
                end = text if len(text) <= REFERENCE_CHARACTERS else "..." + text[-REFERENCE_CHARACTERS:]
                raise ValueError(
                    f"{place} has no answer to compare with in {column!r}: {end!r}; expected {self.expected}"
                )


def _as_texts(rows: Dataset, column: str) -> Dataset:
    """Return the rows with the integers of a column as texts: csv files read as numbers become texts again."""
    if rows.features[column] == Value("string"):
        return rows
    return rows.remove_columns(column).add_column(column, [*map(str, rows[column])], feature=Value("string"))
