"""The order of features: C3A and CDVFT on permuted features against the network's own order.

A circulant matrix ties the entries on one wrapped diagonal, so it depends on the order of a layer's features. The order
itself is arbitrary: a network with permuted neurons computes the same function. If circulant structure met a structure
in the network's order, a random order for each layer would cost accuracy. The recipe's ``feature_order`` permutes the
features only for the adapter (`circpeft.adapters.permuted`). It would change nothing for LoRA. The two runs of a seed
have the same new head and the same order of rows; the orders of features are drawn by the seed, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import mean

import evidence_training
import plotly.graph_objects as go
from evidence_options import Options
from evidence_pages import source_text
from evidence_pages import table as table_lines
from evidence_stats import (
    Comparisons,
    Estimate,
    by_seed,
    difference_text,
    estimate,
    expected_by_chance,
    minus,
    number_text,
    paired,
)

from circpeft import plots

SEEDS = 5  # at least
ORDERS = NATURAL, PERMUTED = "natural", "permuted"
TASKS = {"entailment": "Entailment", "word_problems": "Word problems"}
NAMES = {"c3a": "C3A, b", "cdvft": "CDVFT, p"}


def counts(name: str, options: Options) -> tuple[int, int, float]:
    """Return the number of runs, how many are missing, and the estimated minutes for those."""
    return evidence_training.counts(name, _with_seeds(options))


def run(name: str, options: Options, earlier: dict | None = None) -> dict:
    """Train what is missing, until the time limit, and return the part's record."""
    return evidence_training.run(name, _with_seeds(options), earlier)


def _with_seeds(options: Options) -> Options:
    return replace(options, seeds=max(options.seeds, SEEDS))


def page_text(record: dict) -> str:
    """Return the table of the part's record, with a line that says where its numbers come from."""
    note = (
        "Mean test score of the epoch with the best validation score; in brackets, its standard error over the seeds. "
        "The difference is permuted minus natural order, seed by seed."
    )
    return "\n".join([*table(record["rows"]), "", f"{note} {source_text(record)}", ""])


def figure(record: dict) -> go.Figure:
    """Draw the mean test scores in both orders, with their standard errors."""
    heights, errors = {}, {}
    for setting in settings_of(record["rows"]):
        task, method, size = setting
        for order, scores in scores_of(record["rows"], setting).items():
            if value := estimate(scores.values()):
                name = f"{TASKS[task]}, {NAMES[method]} = {size}"
                heights.setdefault(f"{order} order", {})[name] = value.mean
                errors.setdefault(f"{order} order", {})[name] = value.error or 0.0
    title = "Test score with the features in natural and in permuted order"
    return plots.bars(heights, errors, title=title, y_title="test score")


def settings_of(rows: Iterable[dict]) -> list[tuple[str, str, int]]:
    """Return task, method and block size of the rows, each once, in their order."""
    return list(dict.fromkeys((row["task"], row["method"], row["block_size"]) for row in rows))


def scores_of(rows: list[dict], setting: tuple[str, str, int]) -> dict[str, dict[int, float]]:
    """Return the test scores of a setting by order and seed."""
    where = dict(zip(("task", "method", "block_size"), setting, strict=True))
    return {order: by_seed(rows, **where, order=order) for order in ORDERS}


def comparisons(record: dict) -> Comparisons:
    """Compare permuted with natural order over all settings of each task."""
    rows, lines, notes = record["rows"], [], []
    for task in dict.fromkeys(row["task"] for row in rows):
        scores = {setting: scores_of(rows, setting) for setting in settings_of(rows) if setting[0] == task}
        steps = {s: minus(of[PERMUTED], of[NATURAL]) for s, of in scores.items()}
        over_all = _over_settings(steps)
        lines.append((TASKS[task].lower(), difference_text(over_all), str(over_all.count if over_all else 0)))
        differences = [estimate(by.values()) for by in steps.values()]
        clear = sum(bool(value and value.is_distinguishable) for value in differences)
        notes.append(
            f"{TASKS[task]}: {clear} of {len(steps)} settings {'is' if clear == 1 else 'are'} distinguishable; by "
            f"chance it would be {expected_by_chance(differences):.1f}."
        )
    return Comparisons(("task", "permuted minus natural order, mean over the settings", "seeds"), lines, notes)


def _over_settings(steps: dict[tuple, dict[int, float]]) -> Estimate | None:
    """Return the mean difference over settings, estimated over the seeds that all settings have.

    The settings of one seed share rows, head and permutations, so the seed is the unit.
    """
    shared = set.intersection(*(set(by) for by in steps.values())) if steps else set()
    return estimate(mean(by[seed] for by in steps.values()) for seed in sorted(shared))


def table(rows: list[dict]) -> list[str]:
    """Return the lines of a table: test scores in both orders, with their paired difference."""
    body = []
    for setting in settings_of(rows):
        task, method, size = setting
        of = scores_of(rows, setting)
        difference = paired(of[PERMUTED], of[NATURAL])
        numbers = [number_text(estimate(of[order].values())) for order in ORDERS]
        place = [TASKS[task].lower(), f"{NAMES[method]} = {size}"]
        body.append([*place, *numbers, difference_text(difference), str(difference.count if difference else 0)])
    return table_lines(["task", "method", "natural order", "permuted order", "difference", "seeds"], body)
