"""Tables and picture of the part on real text, computed from the record."""

from __future__ import annotations

import math
from statistics import mean

import plotly.graph_objects as go
from evidence_pages import table
from evidence_stats import Comparisons, Estimate, difference_text, estimate
from page_parts import device_text

from circpeft import plots

NAMES = {"viggo": "ViGGO", "gsm8k": "GSM8K", "sql": "SQL"}
METHODS = {"full": "Full", "lora": "LoRA, r = 8", "c3a:block_size=64": "C3A, b = 64", "cdvft": "CDVFT"}
BASELINE = "lora"


def tasks_of(rows: list[dict]) -> list[str]:
    """Return the tasks of the rows, in the order of `NAMES`."""
    return [task for task in NAMES if any(row["task"] == task for row in rows)]


def of(rows: list[dict], task: str, method: str) -> list[dict]:
    """Return the rows of a task and a method: one for each seed."""
    return [row for row in rows if (row["task"], row["method"]) == (task, method)]


def right(rows: list[dict]) -> list[float]:
    """Return, for each test row, the share of the seeds that answered it rightly.

    >>> right([{"right": [0, 1]}, {"right": [1, 1]}])
    [0.5, 1.0]
    """
    return [mean(answers) for answers in zip(*(row["right"] for row in rows), strict=True)]


def before(rows: list[dict]) -> Estimate:
    """Return the score before training, with its standard error over the test rows."""
    score, count = rows[0]["start_score"], rows[0]["split_rows"]["test"]
    return Estimate(score, math.sqrt(score * (1 - score) / max(1, count - 1)), count)


def after(rows: list[dict]) -> Estimate:
    """Return the score after training, with its standard error over the test rows."""
    return estimate(right(rows))


def difference(first: list[dict], second: list[dict]) -> Estimate:
    """Return the difference of two methods' scores over the test rows of both."""
    return estimate(a - b for a, b in zip(right(first), right(second), strict=True))


def page_text(record: dict) -> str:
    """Return the table of the record, an example of each task, and where the numbers come from."""
    rows, body = record["rows"], []
    for task in tasks_of(rows):
        for method, name in METHODS.items():
            if found := of(rows, task, method):
                minutes = mean(row["seconds"] for row in found) / 60
                peak = max(row["peak_bytes"] for row in found) / 1e9
                costs = [f"{found[0]['trainable_parameters']:,}", f"{minutes:.0f}", f"{peak:.1f}"]
                rate = f"{found[0]['learning_rate']:g}"
                scores = [_cell(before(found)), _cell(after(found))]
                body.append([NAMES[task], name, *costs[:1], rate, *scores, str(len(found)), *costs[1:]])
    heads = ["task", "method", "parameters", "rate", "before", "after", "seeds", "minutes", "peak memory, GB"]
    lines = table(heads, body)
    for task in tasks_of(rows):
        lines += ["", *_example(task, rows)]
    return "\n".join([*lines, "", _source(record), ""])


def _cell(value: Estimate) -> str:
    return f"{value.mean:.3f} ({value.error:.3f})"


def _example(task: str, rows: list[dict]) -> list[str]:
    """Return a question of a task with the answers of the best adapter before and after."""
    best = max((r for r in rows if r["task"] == task and r["method"] != "full"), key=lambda r: r["test_score"])
    texts = {key: " ".join(text.split()) for key, text in best["example"].items()}
    cut = {key: text if len(text) <= 300 else text[:297] + "..." for key, text in texts.items()}
    return [
        f"The first test question of {NAMES[task]}, and its answers ({METHODS[best['method']]}):",
        "",
        "```",
        *(f"{key:<10}{text}" for key, text in cut.items()),
        "```",
    ]


def _source(record: dict) -> str:
    rows = record["rows"]
    done = f"{len(rows)} runs" if len(rows) == record["planned"] else f"{len(rows)} of {record['planned']} runs so far"
    sizes = ", ".join(
        f"{NAMES[task]} {found[0]['split_rows']['train']:,} and {found[0]['split_rows']['test']}"
        for task in tasks_of(rows)
        if (found := [row for row in rows if row["task"] == task])
    )
    devices = " and ".join(device_text(device) for device in sorted({row["device"] for row in rows}))
    torch = ", ".join(sorted({row["versions"]["torch"] for row in rows}))
    return (
        f"Exact match; in brackets, its standard error over the test rows. Rows of training and test: {sizes}. "
        f"Minutes of training, with the scoring of the validation rows. {done}. {devices}; torch {torch}."
    )


def comparisons(record: dict) -> Comparisons:
    """Compare each method with the model before training, and with LoRA on the same test rows."""
    rows, lines = record["rows"], []
    for task in tasks_of(rows):
        for method, name in METHODS.items():
            if found := of(rows, task, method):
                against = difference(found, lora) if method != BASELINE and (lora := of(rows, task, BASELINE)) else None
                lines.append((NAMES[task], name, difference_text(gain(found)), difference_text(against)))
    return Comparisons(("task", "method", "after minus before", "minus LoRA"), lines)


def gain(rows: list[dict]) -> Estimate:
    """Return the score after minus that before training. Which rows were right before is not on record: not paired."""
    old, new = before(rows), after(rows)
    return Estimate(new.mean - old.mean, math.hypot(old.error, new.error), new.count)


def figure(record: dict) -> go.Figure:
    """Draw the scores before and after training."""
    heights, errors = {}, {}
    for task in tasks_of(record["rows"]):
        for method, name in METHODS.items():
            if rows := of(record["rows"], task, method):
                for when, value in (("before", before(rows)), ("after", after(rows))):
                    heights.setdefault(when, {})[f"{NAMES[task]}, {name}"] = value.mean
                    errors.setdefault(when, {})[f"{NAMES[task]}, {name}"] = value.error
    title = "SmolLM2-135M before and after training on 1,000 rows"
    return plots.bars(heights, errors, title=title, y_title="exact match")
