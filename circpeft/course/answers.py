"""The answers of a run to held-out questions, before and after training, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd
from datasets import Dataset

from ..escaping import html, html_table
from ..results import Result
from ..tasks import InstructionTask

TEXTS = {"white-space": "pre-wrap", "overflow-wrap": "anywhere", "text-align": "left", "vertical-align": "top"}
LEFT = [{"selector": "th", "props": "text-align: left"}]
EQUAL = [{"selector": "", "props": "width: 100%; table-layout: fixed"}]  # no text may squeeze the others
MARKS = {True: "✓ right", False: "✗ wrong"}


def texts_table(table: pd.DataFrame) -> Any:
    """Return a table of texts as a styled table: markup in them is shown as it is written, and lines are kept.

    >>> "&lt;b&gt;" in texts_table(pd.DataFrame({"answer": ["<b>7</b>"]})).to_html()
    True
    """
    styled = html_table(table).hide(axis="index")
    return styled.set_properties(**TEXTS).set_table_styles(LEFT)


def side_by_side(task: InstructionTask, rows: Dataset, run: Result, count: int = 8) -> Any:
    """Return the first answers of a run before and after training as a styled table, with the score of both.

    Args:
        task: the run's task.
        rows: its test rows, in the order of the record.
        run: the run.
        count: number of questions; the record may have fewer answers.

    Raises: ValueError for a task that does not compare answers: its records have none.
    """
    same = task.same
    if same is None:
        raise ValueError(f"the records of task {task.name!r} have no answers, because it only measures the loss")
    rows = rows.select(range(min(count, len(rows), len(run.start_predictions), len(run.predictions))))
    references = list(rows[task.answer_column])

    def marked(answers: list[str]) -> list[str]:
        pairs = zip(references, answers, strict=False)  # the record has more answers
        return [f"{MARKS[same(reference, answer)]}\n{answer}" for reference, answer in pairs]

    table = pd.DataFrame(
        {
            "question": [task.instruction(row).strip() for row in rows],
            "reference": references,
            "before": marked(run.start_predictions),
            f"after {run.label}": marked(run.predictions),
        }
    )
    scores = f"{run.metric} on all {run.rows['test']} test questions: {run.start_score:.3f} before training"
    caption = html(f"{scores}, {run.test_score:.3f} after {run.label}")
    return texts_table(table).set_table_styles(EQUAL, overwrite=False).set_caption(caption)
