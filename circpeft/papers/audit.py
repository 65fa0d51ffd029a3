"""The audit: every figure of the printed tables, and those claims of the texts that we found to be recomputable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from . import accounting, c3a_claims, cdvft_claims, formulas
from .numbers import agrees, is_number, number
from .printed import FIRST_VERSION, Cell, cells, first_version_cells

VERDICTS = ("match", "misprint", "contradicts_text", "not_derivable", "measured")


@dataclass(frozen=True)
class Row:
    """One printed figure and its verdict.

    Attributes:
        paper: "c3a" (arXiv 2407.19342) or "cdvft" (arXiv 2505.00580).
        table: "1" to "4", "1, first version", or the place in the text.
        row, column: as in the table; for a claim in the text, its subject and quantity.
        printed: the printed text; "-" for an empty cell.
        stated: the value that the hyperparameters in the text give, unrounded, in base units; None if the text states
            none.
        computed: the value of the formula that reproduces it, unrounded, in base units; None if no formula does.
        formula: that formula in words.
        verdict: one of `VERDICTS` (see `audit`).
        note: what differs, or what is missing.
    """

    paper: str
    table: str
    row: str
    column: str
    printed: str
    stated: float | None
    computed: float | None
    formula: str
    verdict: str
    note: str = ""


def verdict_of(printed: str, stated: float | None, computed: float | None) -> str:
    """Return the verdict on a printed number, by the rule for all counts, averages and ratios.

    >>> verdict_of("0.59M", 589_824, 589_824), verdict_of("33.55M", 4_194_304, 33_554_432)
    ('match', 'contradicts_text')
    """
    if computed is None:
        return "not_derivable"
    if not agrees(printed, computed):
        return "misprint"
    return "match" if stated is None or agrees(printed, stated) else "contradicts_text"


def _count(cell: Cell, quantity: str) -> Row:
    entry = accounting.entry(cell.paper, cell.table, cell.row, cell.column)
    place = asdict(cell)
    if entry is None:
        return Row(
            **place, stated=None, computed=None, formula="", verdict="not_derivable", note="no figure is printed"
        )
    computed = entry.total(entry.reproduces, quantity)
    stated = computed if entry.stated is None else entry.total(entry.stated, quantity)
    if not is_number(cell.printed):
        note = "the cell is empty in the text that we have; computed is what it would hold"
        return Row(**place, stated=stated, computed=computed, formula=entry.formula, verdict="not_derivable", note=note)
    verdict = verdict_of(cell.printed, stated, computed)
    return Row(**place, stated=stated, computed=computed, formula=entry.formula, verdict=verdict, note=entry.note)


def _average(cell: Cell, all_cells: list[Cell]) -> Row:
    not_scores = ("Avg.", "# Trainable Parameters", "Memory Cost (GB)", "FLOPs", "Param.")
    row_cells = [c for c in all_cells if (c.paper, c.table, c.row) == (cell.paper, cell.table, cell.row)]
    scores = [number(c.printed) for c in row_cells if c.column not in not_scores]
    mean = sum(scores) / len(scores)
    verdict = verdict_of(cell.printed, mean, mean)
    return Row(**asdict(cell), stated=mean, computed=mean, formula="mean of the row's printed scores", verdict=verdict)


def _row(cell: Cell, all_cells: list[Cell]) -> Row:
    column = cell.column
    if (cell.paper, cell.table) == ("c3a", "1"):
        return Row(**asdict(cell), **formulas.check(cell.row, column))
    if cell.table == FIRST_VERSION:
        return Row(**asdict(cell), **formulas.check_first_version(cell.row, column))
    if column == "Avg.":
        return _average(cell, all_cells)
    if "Param" in column:
        return _count(cell, "parameters")
    if "FLOPs" in column:
        return _count(cell, "flops")
    blank: dict[str, Any] = {"stated": None, "computed": None, "formula": ""}
    if not is_number(cell.printed):
        return Row(**asdict(cell), **blank, verdict="not_derivable", note="no figure is printed")
    note = "the score of a training run: compare it with runs"
    if "Memory" in column:
        note = "gigabytes on the authors' GPU: benchmarks/results/memory_column.md has our count and measurement"
    return Row(**asdict(cell), **blank, verdict="measured", note=note)


@cache
def _rows() -> tuple[Row, ...]:
    all_cells = [*cells(), *first_version_cells()]
    claims = [*c3a_claims.rows(), *cdvft_claims.rows()]
    return tuple([_row(cell, all_cells) for cell in all_cells] + [Row(**claim) for claim in claims])


def audit() -> list[Row]:
    """Recompute the figures of the printed tables and numbers and comparisons of the texts, each with a verdict.

    The tables are the seven of the two papers, and Table 1 of C3A's first version. The verdicts are:

    - "match": the settings in the text give the printed value; where the text is silent, those in ``formula`` do.
    - "contradicts_text": other settings than the text's give it, or the tables contradict the text.
    - "misprint": nothing in the paper gives it.
    - "not_derivable": the paper leaves out what the note names.
    - "measured": a score or a memory, to be compared with runs.

    >>> next((r.printed, r.stated, r.computed, r.verdict) for r in audit() if r.column == "MT-Bench Param.")
    ('33.55M', 4194304, 33554432, 'contradicts_text')
    """
    return list(_rows())
