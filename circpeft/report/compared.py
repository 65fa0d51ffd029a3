"""A printed table beside our runs: the printed value, ours, its spread over the seeds, and the state of the runs."""

from __future__ import annotations

import pandas as pd

from ..papers.printed import cells as printed_cells
from ..suggest import nearest
from .cell_values import COLUMNS, RESOURCES, Line, fill_average, fill_resource, fill_score, kind_of
from .records import Cell, Found, Sweep


def compared(found: Found, table: str, sweep: Sweep | None = None) -> pd.DataFrame:
    """Return a printed table beside our runs of it, in long form: one row per cell.

    Columns of the result:

    - ``printed``: the printed text; ``printed_value``: its value.
    - ``ours``: the sweep's statistic (mean or median) over the finished seeds; ``spread``: their sample standard
      deviation (empty for one seed); ``seeds``: how many seeds there are.
    - ``difference``: ours minus the printed value. Only scores and averages have one, and only if task and model are
      the paper's. FLOPs and memory are counted differently; `circpeft.papers.audit` checks the parameters.
    - ``finished``, ``failed``, ``pending``, ``unreadable``: the number of the cell's runs in each state.
    - ``reason``: why a cell is left out or has no difference, or why its runs are not averaged: they were computed
      differently, such as in another precision or on another kind of device.

    Units are as printed. Scores are in percent, except a negative loss, which keeps its value. Parameters are
    counts, memory is in GB (10⁹ bytes), and FLOPs are those that the adapter adds per token. An average is filled in
    only if all its columns are.

    Args:
        found: what `scan` read.
        table: a printed table ("cdvft-1"), or the name of a sweep that belongs to no printed table.
        sweep: one of the table's sweeps; by default the one that was started last. Without any sweep, only the printed
            values are filled in.

    Raises:
        ValueError: the table is unknown (the message names the nearest), or the sweep belongs to another table.
    """
    sweeps = found.sweeps_of(table)
    if sweep is None:
        sweep = sweeps[0] if sweeps else None
    elif sweep not in sweeps:
        choices = nearest(sweep.name, [each.name for each in sweeps])
        raise ValueError(f"sweep {sweep.name!r} is not one of table {table!r}, but of {sweep.title!r}; {choices}")
    printed = {(c.row, c.column): c.printed for c in printed_cells() if f"{c.paper}-{c.table}" == table}
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sweep.cells if sweep else ():
        groups.setdefault((cell.row, cell.column), []).append(cell)
    rows = list(dict.fromkeys([*(row for row, _ in printed), *(row for row, _ in groups)]))
    columns = list(dict.fromkeys([*(column for _, column in printed), *(column for _, column in groups)]))
    runs = {run.name: run for run in found.runs if sweep and run.folder == sweep.folder}
    lines: list[Line] = []
    for row in rows:
        row_lines: list[Line] = []
        row_cells = {column: groups.get((row, column), []) for column in columns}
        for column in columns:
            kind = kind_of(column) if (row, column) in printed else "score"
            line = Line(row, column, kind, printed.get((row, column), ""), cells=row_cells[column])
            if kind == "score":
                fill_score(line, sweep, runs)
            elif kind != "average":
                fill_resource(line, sweep, runs, row_cells, column.split(" ")[0])
            row_lines.append(line)
        fill_average(row_lines)
        for kind, (column, _) in RESOURCES.items():
            if sweep and kind not in map(kind_of, columns):
                line = Line(row, column, kind)
                fill_resource(line, sweep, runs, row_cells, "")
                row_lines.append(line)
        lines += row_lines
    frame = pd.DataFrame([line.values() for line in lines], columns=list(COLUMNS))
    numbers = ["printed_value", "ours", "spread", "difference"]
    return frame.astype(dict.fromkeys(numbers, float))
