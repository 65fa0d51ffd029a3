"""Instruction tuning: a prompt, an answer, and how an answer that a model wrote is compared with it.

The papers' data sets (CDVFT Table 3: Alpaca and GSM8K; C3A Table 3: GSM8K, MATH, ViGGO and SQL), and word problems that
the project generates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Value

from ..data_folders import TaskOptions, read_with_unused
from . import splits
from .folder_names import folder_names, names_of_others
from .scoring import answers, comparisons, formulas

SHOWN = 120  # characters of a reference in an error, from its end
NUMBER = "'#### NUMBER' at the end, or the number alone"
FORMULA = r"a closed '\boxed{...}', 'The answer is ...', or the formula alone"
PROMPT = "### Instruction:\n{instruction}\n\n### Response:\n"


def _alpaca(row: dict) -> str:
    return f"{row['instruction']}\n\n{row['input']}" if row.get("input") else row["instruction"]


@dataclass(frozen=True)
class InstructionTask:
    """A prompt made of columns, answered by a language model.

    Args:
        name: the task's name.
        columns: the text columns that a row needs: those of the instruction, then the answer's.
        instruction: makes the instruction of a row.
        same: whether an answer is right, given the reference; None where only the loss is measured (Alpaca).
        hub: data set id and configuration on the Hugging Face hub, or None for embedded data.
        has_answer: whether a reference has something to compare with; None takes every text.
        expected: what such a reference looks like, for the error.
        optional: a text column that may be missing or have empty rows; a split without it has empty ones.
        max_new_tokens: the longest answer that is generated.
        share: of the published rows that is used, see `used` (C3A section 4.3 takes 12.5% of SQL).
        template: of the prompt, with ``{instruction}`` in it.
        group: a column by which the score is broken down, where the data has it.
        own_names: columns that the publisher's own files name otherwise, as pairs of that name and the task's.
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
    own_names: tuple[tuple[str, str], ...] = ()

    kind = "instructions"
    labels = ()

    @property
    def metric(self) -> str:
        """ "exact_match", or "negative_loss" where answers are not compared."""
        return "exact_match" if self.same else "negative_loss"

    @property
    def answer_column(self) -> str:
        """The column of the answers."""
        return self.columns[-1]

    def prompt(self, row: dict[str, Any]) -> str:
        """What the model is given, up to where its answer begins.

        >>> TASKS["gsm8k"].prompt({"question": "1 + 1?", "answer": "#### 2"})
        '### Instruction:\\n1 + 1?\\n\\n### Response:\\n'
        """
        return self.template.format(instruction=self.instruction(row).strip())

    def score(self, references: Sequence[str], written: Sequence[str]) -> float:
        """Share of answers that are right.

        Raises: ValueError for a task whose answers are not compared.

        >>> TASKS["gsm8k"].score(["#### 1,000", "#### 2"], ["so 1000", "I would say 3"])
        0.5
        """
        if self.same is None:
            raise ValueError(f"task {self.name!r} has no right answers to compare with; its loss is its metric")
        right = [self.same(reference, answer) for reference, answer in zip(references, written, strict=True)]
        return sum(right) / len(right)

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
            text_columns=(*self.columns, *filter(None, [self.optional]), *(own for own, _ in self.own_names)),
        )
        data, unused = read_with_unused(folder, options)
        return splits.renamed(data, self.own_names), unused

    def with_labels_of(self, data: DatasetDict) -> InstructionTask:
        """The task itself: it has no classes."""
        return self

    def prepare(self, data: DatasetDict) -> DatasetDict:
        """The data's text columns, checked.

        Raises: ValueError for a missing train split or column (with the nearest name), an optional column under a name
        that differs by capital letters or blanks, an empty split, a text that is missing or no text, or a reference
        without an answer that others can be compared with.
        """
        if "train" not in data:
            raise ValueError(f"task {self.name!r} needs a train split; the data has: {', '.join(data)}")
        there = [name for name in splits.SPLITS if name in data]
        data = self._with_optional(DatasetDict({name: data[name] for name in there}))
        # A group that only some splits have is left out: the splits go through the same steps.
        optional = [c for c in (self.optional, self.group) if all(c in data[name].column_names for name in there)]
        return DatasetDict({name: self._columns(name, data[name], optional) for name in there})

    def _with_optional(self, data: DatasetDict) -> DatasetDict:
        """With the optional column in all splits if it is in one: without it, prompts would lose what it says."""
        if not self.optional:
            return data
        for split, rows in data.items():
            if any(name.strip().lower() == self.optional for name in rows.column_names):  # also "Input", which is none
                splits.check_column(self.name, split, rows, self.optional)
        if not any(self.optional in rows.column_names for rows in data.values()):
            return data
        nothing = {split: [None] * len(rows) for split, rows in data.items() if self.optional not in rows.column_names}
        made = {s: data[s].add_column(self.optional, none, feature=Value("string")) for s, none in nothing.items()}
        return DatasetDict({**data, **made})

    def _columns(self, split: str, rows: Dataset, optional: list[str]) -> Dataset:
        if len(rows) == 0:
            raise ValueError(f"empty split: {split} of task {self.name!r} has no rows")
        for column in self.columns:
            splits.check_column(self.name, split, rows, column, self.columns)
            numbers = column == self.answer_column and self.has_answer is not None
            splits.check_texts(self.name, split, rows, column, numbers)
            rows = _as_texts(rows, column) if numbers else rows
        for row, text in enumerate(rows[self.optional] if self.optional in optional else ()):
            if not isinstance(text, str | None):
                raise ValueError(
                    f"row {row} of split {split} of task {self.name!r} has {text!r} in column {self.optional!r}; "
                    f"expected a text, or nothing"
                )
        if self.same is not None:
            self._check_references(split, rows)
        return rows.select_columns([*self.columns, *optional])

    def _check_references(self, split: str, rows: Dataset) -> None:
        column = self.answer_column
        for row, text in enumerate(rows[column]):
            place = f"row {row} of split {split} of task {self.name!r}"
            if not text.strip():
                raise ValueError(f"{place} has an empty {column!r}")
            if self.has_answer and not self.has_answer(text):
                end = text if len(text) <= SHOWN else "..." + text[-SHOWN:]
                raise ValueError(
                    f"{place} has no answer to compare with in {column!r}: {end!r}; expected {self.expected}"
                )


def _as_texts(rows: Dataset, column: str) -> Dataset:
    """The rows with whole numbers of a column as texts, which they are in csv."""
    if rows.features[column] == Value("string"):
        return rows
    return rows.remove_columns(column).add_column(column, [*map(str, rows[column])], feature=Value("string"))


def used(task: Any, data: DatasetDict) -> DatasetDict:
    """The rows of a task's published data that it uses: its share of each split, drawn by a fixed seed.

    Data of one's own are used whole.
    """
    share = getattr(task, "share", 1.0)
    if share == 1.0:
        return data
    return DatasetDict({n: splits.first_rows(rows, max(1, int(len(rows) * share))) for n, rows in data.items()})


TASKS = {
    task.name: task
    for task in (
        InstructionTask(
            "word_problems",
            ("question", "answer"),
            lambda row: row["question"],
            comparisons.same_number,
            has_answer=answers.has_number,
            expected=NUMBER,
            max_new_tokens=48,
            group="kind",
        ),
        InstructionTask(
            "gsm8k",
            ("question", "answer"),
            lambda row: row["question"],
            comparisons.same_number,
            ("openai/gsm8k", "main"),
            answers.has_number,
            NUMBER,
        ),
        InstructionTask(
            "math",
            ("problem", "solution"),
            lambda row: row["problem"],
            comparisons.same_mathematics,
            ("DigitalLearningGmbH/MATH-lighteval",),
            formulas.has_formula,
            FORMULA,
            max_new_tokens=512,
        ),
        InstructionTask(
            "viggo",
            ("target", "meaning_representation"),
            lambda row: f"Write the meaning representation of this sentence.\n\n{row['target']}",
            comparisons.same_meaning,
            ("GEM/viggo",),
            max_new_tokens=128,
            own_names=(("mr", "meaning_representation"), ("ref", "target")),
        ),
        InstructionTask(
            "sql",
            ("context", "question", "answer"),
            lambda row: f"{row['context']}\n\nWrite an SQL query that answers: {row['question']}",
            comparisons.same_query,
            ("b-mc2/sql-create-context",),
            max_new_tokens=128,
            share=0.125,
        ),
        InstructionTask("alpaca", ("instruction", "output"), _alpaca, None, ("tatsu-lab/alpaca",), optional="input"),
    )
}
