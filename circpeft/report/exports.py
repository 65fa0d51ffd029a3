"""Files of tables and runs for other programs and papers: CSV, Markdown, LaTeX, JSON, HTML."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .. import escaping
from ..files import write_atomically
from ..suggest import nearest
from .compared import compared
from .formatting import NOT_AVERAGED, wide
from .page import page
from .records import Found, Sweep
from .runs import failures_table, problems_table, runs_table, sweeps_table

# The columns of the runs that fit into a table of a paper.
PAPER_COLUMNS = [
    "task",
    "label",
    "model",
    "seed",
    "metric",
    "test_score",
    "trainable_parameters",
    "seconds",
    "peak_bytes",
]


def export(found: Found, table: str | None, format: str, path: str | Path, sweep: Sweep | None = None) -> Path:
    """Write a table, or all runs, to a file, atomically: the file is complete, or unchanged after an error.

    CSV and JSON hold the long form, every number at full precision. Markdown and LaTeX (which needs the package
    booktabs) hold the wide form of a table, or the main columns of the runs. HTML is the page of `page`. Texts are
    escaped by `circpeft.escaping`; in CSV, a text that a spreadsheet would compute begins with an apostrophe.

    Args:
        found: what `scan` read.
        table: as in `compared`, or None for the runs. For None, JSON also holds sweeps, failures and unusable files,
            and HTML shows the tables of all sweeps.
        format: one of `FORMATS`.
        path: the file to write.
        sweep: the table's sweep to write (HTML shows all of them).

    Returns:
        The path.

    Raises:
        ValueError: the format or the table is unknown; the message names the nearest.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; {nearest(format, FORMATS)}")
    path = Path(path)
    write_atomically(path, FORMATS[format](found, table, sweep))
    return path


def _csv(found: Found, table: str | None, sweep: Sweep | None) -> str:
    frame = runs_table(found) if table is None else compared(found, table, sweep)
    return frame.map(escaping.csv_cell).to_csv(index=False)


def _readable(found: Found, table: str | None, sweep: Sweep | None) -> pd.DataFrame:
    """Return the frame of Markdown and LaTeX: text cells, with the row names in the first column."""
    if table is not None:
        return wide(compared(found, table, sweep)).reset_index()
    frame = runs_table(found)[PAPER_COLUMNS]
    scores = [f"{score:.4f}" for score in frame.test_score]
    seconds = [f"{value:.1f}" for value in frame.seconds]
    return frame.assign(test_score=scores, seconds=seconds).astype(str)


def _markdown(found: Found, table: str | None, sweep: Sweep | None) -> str:
    frame = _readable(found, table, sweep)
    cells = compared(found, table, sweep).itertuples() if table is not None else ()
    kept = [line for line in cells if line.reason.endswith(NOT_AVERAGED)]
    reasons = [escaping.markdown(f"{line.row}, {line.column}: {line.reason}") for line in kept]
    rows = [frame.columns, *frame.itertuples(index=False)]
    lines = ["| " + " | ".join(map(escaping.markdown, row)) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(frame.columns))
    return "\n".join([*lines, *([""] if reasons else []), *reasons]) + "\n"


def _latex(found: Found, table: str | None, sweep: Sweep | None) -> str:
    frame = _readable(found, table, sweep)
    rows = [frame.columns, *frame.itertuples(index=False)]
    head, *lines = [" & ".join(map(escaping.latex, row)) + r" \\" for row in rows]
    begin = rf"\begin{{tabular}}{{{'l' * len(frame.columns)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def _records(frame: pd.DataFrame) -> list[dict]:
    # JSON has no NaN: an unknown value is null.
    return [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _json(found: Found, table: str | None, sweep: Sweep | None) -> str:
    if table is None:
        tables = {"runs": runs_table, "sweeps": sweeps_table, "failures": failures_table, "problems": problems_table}
        document: dict = {name: _records(to_frame(found)) for name, to_frame in tables.items()}
    else:
        source = sweep or next(iter(found.sweeps_of(table)), None)
        fields = ("name", "table", "profile", "seeds", "statistic", "printed_model", "started", "commit", "code")
        document = {"table": table, "sweep": {name: getattr(source, name) for name in fields} if source else None}
        document["cells"] = _records(compared(found, table, sweep))
    return escaping.json_text(document, indent=1) + "\n"


def _html(found: Found, table: str | None, sweep: Sweep | None) -> str:
    return page(found, table)


FORMATS: dict[str, Callable[[Found, str | None, Sweep | None], str]] = {
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
    "json": _json,
    "html": _html,
}
