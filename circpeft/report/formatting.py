"""The wide form of a table: rows and columns as printed, each cell a text "printed | ours±spread (difference)"."""

from __future__ import annotations

import math

import pandas as pd

from ..papers.numbers import half_unit, is_number
from .records import STATES

EMPTY = "-"
NOT_AVERAGED = "not averaged"


def compact(value: float) -> str:
    """Return a count as the papers print it.

    >>> compact(18_432), compact(1.41e9), compact(12)
    ('18.43K', '1.41G', '12')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:.4g}"


def _places(printed: str) -> int:
    # One unit of the last printed digit is 10^-places. Unprinted cells get two places.
    return round(-math.log10(2 * half_unit(printed))) if is_number(printed) else 2


def _without_value(line) -> str:
    if line.reason.endswith(NOT_AVERAGED):
        return NOT_AVERAGED
    return "left out" if line.reason and line.kind == "score" else EMPTY


def _ours(line) -> str:
    """Return the text of our side: value, spread and difference, or the states of the runs."""
    counts = {state: getattr(line, state) for state in STATES}
    total = sum(counts.values())
    missing = ", ".join(f"{n} {state}" for state, n in counts.items() if n and state != "finished")
    if math.isnan(line.ours):
        return missing or _without_value(line)
    if line.kind == "parameters":
        return f"{line.ours:,.0f}"
    if line.kind == "flops":
        return compact(line.ours)
    if line.kind == "memory":
        return f"{line.ours:.2f}"
    places = 3 if line.metric == "negative_loss" else _places(line.printed)
    text = f"{line.ours:.{places}f}"
    text += "" if math.isnan(line.spread) else f"±{line.spread:.{places}f}"
    text += "" if math.isnan(line.difference) else f" ({round(line.difference, places) + 0.0:+.{places}f})"
    text += " negative loss" if line.metric == "negative_loss" else ""
    return text + (f" [{line.finished} of {total}; {missing}]" if missing else "")


def with_cell_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `compared` with two more columns of text for display.

    ``ours_shown`` is our side of a cell; ``cell`` is "printed | ours", or only ours in an unprinted column.
    """
    ours = [_ours(line) for line in frame.itertuples()]
    in_print = set(frame.column[frame.printed != ""])
    lines = zip(frame.column, frame.printed, ours, strict=True)
    cells = [f"{printed or EMPTY} | {text}" if column in in_print else text for column, printed, text in lines]
    return frame.assign(ours_shown=ours, cell=cells)


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `compared` in wide form: its rows and columns in printed order, each cell a text.

    >>> from circpeft import report
    >>> wide(report.compared(report.empty(), "cdvft-1")).loc["VeRA", "Avg."]
    '85.2 | -'
    """
    rows, columns = list(dict.fromkeys(frame.row)), list(dict.fromkeys(frame.column))
    cells = {(line.row, line.column): line.cell for line in with_cell_text(frame).itertuples()}
    texts = [[cells.get((row, column), "") for column in columns] for row in rows]
    return pd.DataFrame(texts, index=pd.Index(rows, name="row"), columns=columns)
