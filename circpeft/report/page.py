"""The results as one HTML page that needs no network: tables, figures, runs, failures and unusable files."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from .. import computation, escaping, plots
from ..results import Result
from ..run_files.json_files import printable
from .compared import compared
from .figures import AXES, scatter, spectra
from .formatting import with_cell_text
from .records import Found, Sweep
from .runs import failures_table, problems_table, relative, runs_table
from .template import PAGE, SCRIPT, STYLE

SCALE = 1.5  # image pixels per pixel on the page, for sharp pictures on dense screens
LONG_COLUMNS = (
    "row",
    "column",
    "printed",
    "ours",
    "spread",
    "seeds",
    "difference",
    "finished",
    "failed",
    "pending",
    "label",
)
RUN_COLUMNS = (
    "task",
    "label",
    "model",
    "profile",
    "seed",
    "metric",
    "test_score",
    "score",
    "start_score",
    "trainable_parameters",
    "adapter_flops_per_token",
    "peak_bytes",
    "seconds",
    "tokens_per_second",
    "computation",
    "unadapted",
    "folder",
    "finished",
)
WHOLE_NUMBERS = ("seed", "seeds", "trainable_parameters", "peak_bytes", "finished", "failed", "pending")


def page(found: Found, table: str | None = None) -> str:
    """Return the HTML of the page: tables of sweeps, figures, runs, failed runs and unusable files.

    Args:
        found: what `scan` read.
        table: show only this table; by default the tables of all sweeps.

    Raises:
        ValueError: the table is neither printed nor that of a sweep; the message names the nearest.
    """
    table_values = _tables(found, table)
    all_runs = runs_table(found)[list(RUN_COLUMNS)]
    if not all_runs.unadapted.any():  # few models have experts
        all_runs = all_runs.drop(columns="unadapted")
    runs, run_columns = _cells(all_runs)
    failures, failure_columns = _cells(failures_table(found), where="pre", error="text failed", remedy="text")
    problems, problem_columns = _cells(problems_table(found), reason="text", remedy="text")
    return (
        escaping.page_environment()
        .from_string(PAGE)
        .render(
            found=found,
            folder=printable(found.folder),
            policy=Markup(escaping.page_policy(SCRIPT)),
            style=Markup(STYLE),
            script=Markup(SCRIPT),
            written=datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
            tables=table_values,
            panels=_panels([*(figure for x in AXES for figure in scatter(found, x)), *spectra(found)]),
            runs=runs,
            run_columns=run_columns,
            failures=failures,
            failure_columns=failure_columns,
            problems=problems,
            problem_columns=problem_columns,
        )
    )


def _tables(found: Found, table: str | None) -> list[dict]:
    if table is not None:
        pairs: list[tuple[str, Sweep | None]] = [(table, sweep) for sweep in found.sweeps_of(table)] or [(table, None)]
    else:
        names = sorted({sweep.title for sweep in found.sweeps})
        pairs = [(name, sweep) for name in names for sweep in found.sweeps_of(name)]
    return [_table(found, name, sweep, number) for number, (name, sweep) in enumerate(pairs)]


def _table(found: Found, name: str, sweep: Sweep | None, number: int) -> dict:
    frame = with_cell_text(compared(found, name, sweep))
    columns = list(dict.fromkeys(frame.column))
    cells = {(line.row, line.column): _cell(line) for line in frame.itertuples()}
    in_print = set(frame.column[frame.printed != ""])
    for (_, column), cell in cells.items():
        cell["beside_print"] = column in in_print
    lines, long = _cells(frame[[*LONG_COLUMNS, "reason"]], reason="text")
    title, description = name, "No sweep of this table was found: only the printed values are shown."
    sweep_results = _results(found, sweep)
    differing = computation.described(
        computation.differences([result.computation for result in sweep_results], computation.OF_RECIPE)
    )
    frozen = sorted({result.label for result in sweep_results if result.unadapted})
    if sweep:
        where = relative(sweep.folder, found.folder)
        title = ", ".join([name, sweep.profile, *([where] if where != "." else [])])
        description = (
            f"{sweep.statistic.capitalize()} over {sweep.seeds} seeds ± standard deviation. Commit {sweep.commit}, "
        )
        description += f"started {sweep.started}."
        if differing:
            description += f" The runs were computed differently ({differing}), so compare rows with care."
        if frozen and not all(result.unadapted for result in sweep_results):
            description += f" The model's experts stayed frozen with {', '.join(frozen)}; other methods adapted them."
        description += (
            " A cell shows the printed value, below it ours, and the difference in brackets." if sweep.table else ""
        )
    return {
        "title": title,
        "anchor": f"table-{number}",
        "description": description,
        "columns": columns,
        "rows": [(row, [cells[row, column] for column in columns]) for row in dict.fromkeys(frame.row)],
        "long": long,
        "lines": lines,
        "left_out": sweep.left_out if sweep else (),
    }


def _results(found: Found, sweep: Sweep | None) -> list[Result]:
    """Return the results of a sweep's finished runs."""
    names = {cell.run for cell in sweep.cells} if sweep else set()
    return [run.result for run in found.runs if sweep and run.name in names and run.folder == sweep.folder]


def _cell(line) -> dict:
    """Return the parts of one cell of the page, and its sort key (our value, or else the printed one)."""
    text, _, more = line.ours_shown.partition(" [")
    value = line.printed_value if math.isnan(line.ours) else line.ours
    ours, _, difference = text.partition(" (")
    states = [state for state in ("failed", "unreadable", "pending") if getattr(line, state)]
    return {
        "printed": line.printed,
        "ours": ours,
        "difference": f"({difference}" if difference else "",
        "sign": {"-": "minus", "+": "plus"}[difference[0]] if difference.strip("+-0.)") else "quiet",
        "more": f"[{more}" if more else "",
        "style": "ours" if not math.isnan(line.ours) else (*states, "quiet")[0],
        "value": None if math.isnan(value) else value,
        "reason": line.reason,
    }


def _cells(frame: pd.DataFrame, **styles: str) -> tuple[list[dict], dict[str, str]]:
    """Return the rows for the template, numbers as (value, text), and the style of each column ("n" for numbers)."""
    kinds = {name: styles.get(name, "n" if pd.api.types.is_numeric_dtype(frame[name]) else "") for name in frame}
    rows = frame.to_dict("records")
    for row in rows:
        row.update({name: _number(name, row[name]) for name, kind in kinds.items() if kind == "n"})
    return rows, kinds


def _number(name: str, value: Any) -> tuple[str, str]:
    if pd.isna(value):
        return "NaN", ""
    return repr(float(value)), f"{value:,.0f}" if name in WHOLE_NUMBERS or abs(value) >= 1e5 else f"{value:,.4g}"


def _panels(figures: list[go.Figure]) -> dict[str, list[dict]]:
    """Return the figures as pictures, grouped by task and model: the part of their titles before the colon."""
    pictures: dict[str, list[dict]] = {}
    for figure in figures:
        png = plots.static(figure, SCALE)
        title = escaping.plain(figure.layout.title.text)
        axes = [escaping.plain(axis.title.text) for axis in (figure.layout.yaxis, figure.layout.xaxis)]
        pictures.setdefault(title.partition(":")[0], []).append(
            {
                "alt": f"{title}: {axes[0]} against {axes[1]}",
                "width": round(int.from_bytes(png[16:20]) / SCALE),  # bytes 16 to 19 of a PNG hold its width
                "code": base64.b64encode(png).decode(),
            }
        )
    return pictures
