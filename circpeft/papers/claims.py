"""Building blocks of the claims: fields of an audit row, verdicts, and look-ups in the printed tables."""

from __future__ import annotations

from typing import Any

from .numbers import agrees, number
from .printed import cells

AT_LEAST_AS_GOOD = "score columns in which it is at least as good"


def printed_table(paper: str, table: str) -> dict[tuple[str, str], str]:
    """Return the printed cells of one table by row and column."""
    return {(c.row, c.column): c.printed for c in cells() if (c.paper, c.table) == (paper, table)}


def claim(paper, place, subject, quantity, printed, computed, formula, verdict, note="", stated=None) -> dict[str, Any]:
    """Return the fields of an audit row for one claim. A match has no note, as a note says what differs."""
    note = note if verdict != "match" else ""
    names = ("paper", "table", "row", "column", "printed", "stated", "computed", "formula", "verdict", "note")
    values = (paper, place, subject, quantity, printed, stated, computed, formula, verdict, note)
    return dict(zip(names, values, strict=True))


def ratio(
    paper: str, place: str, subject: str, quantity: str, printed: str, value: float, formula: str, note: str = ""
) -> dict[str, Any]:
    """Return the fields of an audit row for a printed ratio: a match if the computed one rounds to it."""
    verdict = "match" if agrees(printed, value) else "misprint"
    return claim(paper, place, subject, quantity, printed, value, formula, verdict, note, value)


def verdict_if(is_true: bool) -> str:
    """Return the verdict on a comparison that the text makes: is it true of the printed tables?"""
    return "match" if is_true else "contradicts_text"


def score_columns(paper: str, table: str, row: str) -> list[str]:
    """Return the columns of a row that hold the score of one task."""
    columns = [c for name, c in printed_table(paper, table) if name == row and c not in ("Avg.", "Memory Cost (GB)")]
    return [c for c in columns if "Param" not in c and "FLOPs" not in c]


def columns_at_least_as_good(paper: str, table: str, row: str, others: tuple[str, ...]) -> float:
    """Count the score columns of a table in which a row is at least as good as the best of some other rows."""
    printed = printed_table(paper, table)
    return float(
        sum(
            number(printed[row, c]) >= max(number(printed[other, c]) for other in others)
            for c in score_columns(paper, table, row)
        )
    )
