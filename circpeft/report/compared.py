"""A printed table beside our runs: what is printed, what came out, how it spreads, and how many runs are there."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from ..papers.numbers import is_number, number
from ..papers.printed import cells as printed_cells
from ..results import Result
from ..suggest import nearest
from .records import STATES, Cell, Found, Run, Sweep
from .runs import adapter_flops

AVERAGE = "Avg."
# What a run measures beside its score: our own column where the print has none, and the words of the print's.
RESOURCES: dict[str, tuple[str, Callable[[Result], float | None]]] = {
    "parameters": ("trainable parameters", lambda result: result.trainable_parameters),
    "memory": ("peak memory (GB)", lambda result: result.peak_bytes / 1e9 or None),  # 0 where no system told it
    "flops": ("adapter FLOPs a token", adapter_flops),
}
WORDS = {"Param": "parameters", "Memory": "memory", "FLOPs": "flops"}
COLUMNS = (
    "row",
    "column",
    "kind",
    "printed",
    "printed_value",
    "ours",
    "spread",
    "seeds",
    "difference",
    "label",
    "metric",
    *STATES,
    "reason",
)


def kind_of(column: str) -> str:
    """What a column of a printed table holds: "score", "average", "parameters", "memory" or "flops".

    >>> [kind_of(column) for column in ("MT-Bench Param.", "Memory Cost (GB)", "Avg.", "GSM8K Acc.")]
    ['parameters', 'memory', 'average', 'score']
    """
    if column == AVERAGE:
        return "average"
    return next((kind for word, kind in WORDS.items() if word in column), "score")


@dataclass
class _Line:
    """One row of the long table, before it is one."""

    row: str
    column: str
    kind: str
    printed: str = ""
    ours: float | None = None
    spread: float | None = None
    seeds: int = 0
    comparable: bool = False
    label: str = ""
    metric: str = ""
    reason: str = ""
    cells: list[Cell] = field(default_factory=list)

    def values(self) -> dict:
        printed = number(self.printed) if is_number(self.printed) else None
        both = self.comparable and printed is not None and self.ours is not None
        states = [cell.state for cell in self.cells]
        return {
            **{name: getattr(self, name) for name in COLUMNS if hasattr(self, name)},
            "printed_value": printed,
            "difference": self.ours - printed if both else None,
            **{state: states.count(state) for state in STATES},
        }


def compared(found: Found, table: str, sweep: Sweep | None = None) -> pd.DataFrame:
    """A table beside our runs of it, a row a cell.

    ``printed`` is the text in print and ``printed_value`` its value; ``ours`` is the sweep's statistic (mean or median)
    of the finished seeds and ``spread`` their sample standard deviation (none for one seed). Scores are in percent as
    in print, except a negative loss, which stays itself; parameters are counts, memory is in GB (10⁹ bytes), FLOPs are
    those that the adapter adds for a token. ``difference`` is ours less the print, and only of scores and averages
    whose task and model are the paper's own: FLOPs and memory are counted in different ways, and parameters have the
    audit of the papers. An average is ours only where all its columns are there. ``finished``, ``failed``, ``pending``
    and ``unreadable`` count the runs behind a cell; ``reason`` says why a cell is left out or not compared.

    Args: ``table``: a printed table ("cdvft-1") or the name of a sweep of one's own; ``sweep``: which of its sweeps, by
    default the one that was started last. A printed table that nobody has swept is shown with the print alone.

    Raises: ValueError for an unknown table, with the nearest, or a sweep of another table.
    """
    sweeps = found.sweeps_of(table)
    if sweep is None:
        sweep = sweeps[0] if sweeps else None
    elif sweep not in sweeps:
        raise ValueError(f"sweep {sweep.name!r} is not one of table {table!r}; {nearest(sweep.name, [table])}")
    print_of = {(c.row, c.column): c.printed for c in printed_cells() if f"{c.paper}-{c.table}" == table}
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sweep.cells if sweep else ():
        groups.setdefault((cell.row, cell.column), []).append(cell)
    rows = list(dict.fromkeys([*(row for row, _ in print_of), *(row for row, _ in groups)]))
    columns = list(dict.fromkeys([*(column for _, column in print_of), *(column for _, column in groups)]))
    runs = {run.name: run for run in found.runs if sweep and run.folder == sweep.folder}
    lines = []
    for row in rows:
        own = {column: groups.get((row, column), []) for column in columns}
        for column in columns:
            kind = kind_of(column) if (row, column) in print_of else "score"
            line = _Line(row, column, kind, print_of.get((row, column), ""), cells=own[column])
            if kind == "score":
                _fill_score(line, sweep, runs)
            elif kind != "average":
                _fill_resource(line, sweep, runs, own, column.split(" ")[0])
            lines.append(line)
        _fill_average(row, lines)
        for kind, (column, _) in RESOURCES.items():
            if sweep and kind not in map(kind_of, columns):
                line = _Line(row, column, kind)
                _fill_resource(line, sweep, runs, own, "")
                lines.append(line)
    frame = pd.DataFrame([line.values() for line in lines], columns=list(COLUMNS))
    numbers = ["printed_value", "ours", "spread", "difference"]
    return frame.astype(dict.fromkeys(numbers, float))


def _summed(values: list[float], sweep: Sweep) -> tuple[float | None, float | None]:
    """Statistic of a sweep, and the sample standard deviation; None for what too few values do not give."""
    if not values:
        return None, None
    return getattr(statistics, sweep.statistic)(values), statistics.stdev(values) if len(values) > 1 else None


def _finished(cells: list[Cell], runs: dict[str, Run]) -> list[Result]:
    return [runs[cell.run].result for cell in cells if cell.state == "finished" and cell.run in runs]


def _fill_score(line: _Line, sweep: Sweep | None, runs: dict[str, Run]) -> None:
    if sweep is None:
        return
    for left in sweep.left_out:
        if left["row"] in ("", line.row) and left["column"] in ("", line.column) and not line.cells:
            line.reason = left["reason"]
    if not line.cells:
        return
    done = _finished(line.cells, runs)
    line.label = ", ".join(dict.fromkeys(cell.label for cell in line.cells))
    line.metric = ", ".join(dict.fromkeys(result.metric for result in done))
    loss = line.metric == "negative_loss"
    scores = [result.test_score * (1 if loss else 100) for result in done]
    line.ours, line.spread = _summed(scores, sweep)
    line.seeds = len(scores)
    line.comparable = sweep.printed_model and all(cell.printed_task for cell in line.cells) and not loss
    if loss:
        line.reason = "a loss of the answers, not the score that a judge gives them"
    elif not all(cell.printed_task for cell in line.cells) and sweep.table:
        line.reason = f"{line.cells[0].task} stands in for the printed tasks: not compared"
    elif not sweep.printed_model and sweep.table:
        line.reason = "the model is not the paper's: not compared"
    if any(result.code != sweep.code for result in done):  # a sweep that is started again makes them anew
        line.reason = f"{line.reason}; " * bool(line.reason) + "made by another version of the code: not compared"
        line.comparable = False


def _fill_resource(
    line: _Line, sweep: Sweep | None, runs: dict[str, Run], own: dict[str, list[Cell]], prefix: str
) -> None:
    """What the runs of a row measured; where the print tells columns apart ("GSM8K Param."), those of that column."""
    if sweep is None:
        return
    used = [cell for cells in own.values() for cell in cells]
    benchmarks = {column.split(" ")[0] for column in own if kind_of(column) == "score" and " " in column}
    if prefix in benchmarks:
        used = [
            cell for cell in used if prefix in (cell.column.split(" ")[0], cell.column.split(" for ")[-1].split()[0])
        ]
    done = list({cell.run: result for cell in used for result in _finished([cell], runs)}.values())
    measured = [value for result in done if (value := RESOURCES[line.kind][1](result)) is not None]
    line.ours, line.spread = _summed(measured, sweep)
    line.seeds = len(measured)
    line.label = ", ".join(dict.fromkeys(cell.label for cell in used))
    if len({cell.label for cell in used}) > 1:
        line.reason = "over runs with different hyperparameters"


def _fill_average(row: str, lines: list[_Line]) -> None:
    own = [line for line in lines if line.row == row]
    for line in own:
        if line.kind == "average":
            scores = [other for other in own if other.kind == "score" and other.printed]
            line.cells = [cell for other in scores for cell in other.cells]
            missing = [other.column for other in scores if other.ours is None]
            if scores and not missing:
                line.ours = sum(other.ours for other in scores) / len(scores)
                line.seeds = min(other.seeds for other in scores)
                line.comparable = all(other.comparable for other in scores)
            elif len(missing) < len(scores):
                line.reason = f"no average without {', '.join(missing)}"
