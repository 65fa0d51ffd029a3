"""The audit of the printed figures: what is printed, what comes out, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache

from . import accounting, claims, formulas
from .numbers import agrees, is_number, number
from .printed import Cell, cells

VERDICTS = ("match", "misprint", "contradicts_text", "not_derivable", "measured")


@dataclass(frozen=True)
class Row:
    """One printed figure and its verdict.

    Attributes:
        paper: "c3a" (arXiv 2407.19342) or "cdvft" (arXiv 2505.00580).
        table: "1" to "4", or the place in the text.
        row, column: as in the table; for a claim of the text, its subject and quantity.
        printed: as printed; "-" where a cell is empty.
        stated: what the hyperparameters that the text states give, unrounded, in base units; None where it states none.
        computed: the unrounded value, in base units, of the formula that reproduces the print; None where none does.
        formula: that formula in words.
        verdict: one of `VERDICTS`.
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
    """Verdict on a printed number: the one rule behind every count, average and ratio.

    >>> verdict_of("0.59M", 589_824, 589_824), verdict_of("33.55M", 4_194_304, 33_554_432)
    ('match', 'contradicts_text')
    """
    if computed is None:
        return "not_derivable"
    if not agrees(printed, computed):
        return "misprint"
    return "match" if stated is None or agrees(printed, stated) else "contradicts_text"


def _count(cell: Cell, quantity: str) -> Row:
    found = accounting.entry(cell.paper, cell.table, cell.row, cell.column)
    place = asdict(cell)
    if found is None:
        return Row(
            **place, stated=None, computed=None, formula="", verdict="not_derivable", note="no figure is printed"
        )
    computed = found.total(found.reproduces, quantity)
    stated = computed if found.stated is None else found.total(found.stated, quantity)
    if not is_number(cell.printed):
        note = "no figure stands there in the text that we have; computed is what it would be"
        return Row(**place, stated=stated, computed=computed, formula=found.formula, verdict="not_derivable", note=note)
    verdict = verdict_of(cell.printed, stated, computed)
    return Row(**place, stated=stated, computed=computed, formula=found.formula, verdict=verdict, note=found.note)


def _average(cell: Cell, every: list[Cell]) -> Row:
    counted = ("Avg.", "# Trainable Parameters", "Memory Cost (GB)", "FLOPs", "Param.")
    beside = [c for c in every if (c.paper, c.table, c.row) == (cell.paper, cell.table, cell.row)]
    scores = [number(c.printed) for c in beside if c.column not in counted]
    mean = sum(scores) / len(scores)
    verdict = verdict_of(cell.printed, mean, mean)
    return Row(**asdict(cell), stated=mean, computed=mean, formula="mean of the row's printed scores", verdict=verdict)


def _row(cell: Cell, every: list[Cell]) -> Row:
    column = cell.column
    if (cell.paper, cell.table) == ("c3a", "1"):
        return Row(**asdict(cell), **formulas.check(cell.row, column))
    if column == "Avg.":
        return _average(cell, every)
    if "Param" in column:
        return _count(cell, "parameters")
    if "FLOPs" in column:
        return _count(cell, "flops")
    blank = {"stated": None, "computed": None, "formula": ""}
    if not is_number(cell.printed):
        return Row(**asdict(cell), **blank, verdict="not_derivable", note="no figure is printed")
    note = "a score of a training run: to be compared with runs, not computed"
    if "Memory" in column:
        note = "gigabytes on the authors' GPU: counted, and measured on another, in benchmarks/results/memory_column.md"
    return Row(**asdict(cell), **blank, verdict="measured", note=note)


@cache
def _rows() -> tuple[Row, ...]:
    every = cells()
    return tuple([_row(cell, every) for cell in every] + [Row(**claim) for claim in claims.rows()])


def audit() -> list[Row]:
    """Every figure of the seven tables and every number of the texts, recomputed, with its verdict.

    A verdict is "match" (the text's hyperparameters give the print), "contradicts_text" (other hyperparameters than
    the text's give it), "misprint" (nothing that the paper says gives it), "not_derivable" (what is missing stands in
    the note) or "measured" (a score or a memory, to be compared with runs).

    >>> next((r.printed, r.stated, r.computed, r.verdict) for r in audit() if r.column == "MT-Bench Param.")
    ('33.55M', 4194304, 33554432, 'contradicts_text')
    """
    return list(_rows())
