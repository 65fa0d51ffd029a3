"""What our runs put into the cells of a printed table: scores, resources and averages, or why a cell is empty."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .. import computation
from ..papers.numbers import is_number, number
from ..results import Result
from .formatting import NOT_AVERAGED
from .records import STATES, Cell, Run, Sweep
from .runs import adapter_flops

AVERAGE = "Avg."
MT_BENCH = "MT-Bench Score"
# Kind of resource -> (our column, used where the printed table has none; how to read it from a record).
RESOURCES: dict[str, tuple[str, Callable[[Result], float | None]]] = {
    "parameters": ("trainable parameters", lambda result: result.trainable_parameters),
    "memory": ("peak memory (GB)", lambda result: result.peak_bytes / 1e9 or None),  # 0: the system did not report it
    "flops": ("adapter FLOPs per token", adapter_flops),
}
KIND_OF_WORD = {"Param": "parameters", "Memory": "memory", "FLOPs": "flops"}  # words in the printed column names
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
    """Return what a printed column holds: "score", "average", "parameters", "memory" or "flops".

    >>> [kind_of(column) for column in ("MT-Bench Param.", "Memory Cost (GB)", "Avg.", "GSM8K Acc.")]
    ['parameters', 'memory', 'average', 'score']
    """
    if column == AVERAGE:
        return "average"
    return next((kind for word, kind in KIND_OF_WORD.items() if word in column), "score")


@dataclass
class Line:
    """One row of the long table while it is being filled: one cell of the printed table."""

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
        """Return the values of the row, one per name in `COLUMNS`."""
        printed = number(self.printed) if is_number(self.printed) else None
        difference = None
        if self.comparable and printed is not None and self.ours is not None:
            difference = self.ours - printed
        states = [cell.state for cell in self.cells]
        return {
            **{name: getattr(self, name) for name in COLUMNS if hasattr(self, name)},
            "printed_value": printed,
            "difference": difference,
            **{state: states.count(state) for state in STATES},
        }


def _statistic_and_spread(values: list[float], sweep: Sweep) -> tuple[float | None, float | None]:
    """Return the sweep's statistic and the sample standard deviation; None for each that has too few values."""
    if not values:
        return None, None
    return getattr(statistics, sweep.statistic)(values), statistics.stdev(values) if len(values) > 1 else None


def _finished(cells: list[Cell], runs: dict[str, Run]) -> list[Result]:
    return [runs[cell.run].result for cell in cells if cell.state == "finished" and cell.run in runs]


def fill_score(line: Line, sweep: Sweep | None, runs: dict[str, Run]) -> None:
    """Fill in the score of a cell from its runs, and the reason if it is left out or not compared."""
    if sweep is None:
        return
    for left_out in sweep.left_out:
        if left_out["row"] in ("", line.row) and left_out["column"] in ("", line.column) and not line.cells:
            line.reason = left_out["reason"]
    if not line.cells:
        return
    finished = _finished(line.cells, runs)
    line.label = ", ".join(dict.fromkeys(cell.label for cell in line.cells))
    line.metric = ", ".join(dict.fromkeys(result.metric for result in finished))
    is_loss = line.metric == "negative_loss"
    scores = [result.test_score * (1 if is_loss else 100) for result in finished]
    if _is_mixed(line, finished):
        return
    if _fill_mt_bench(line, sweep, [runs[cell.run] for cell in line.cells if cell.run in runs]):
        return
    line.ours, line.spread = _statistic_and_spread(scores, sweep)
    line.seeds = len(scores)
    line.comparable = sweep.printed_model and all(cell.printed_task for cell in line.cells) and not is_loss
    if is_loss:
        line.reason = "the loss on the answers, not the score that a judge gives them"
    elif not all(cell.printed_task for cell in line.cells) and sweep.table:
        line.reason = f"{line.cells[0].task} stands in for the printed tasks: not compared"
    elif not sweep.printed_model and sweep.table:
        line.reason = "the model is not the paper's: not compared"
    if any(result.code != sweep.code for result in finished):  # a restarted sweep repeats such runs
        line.reason = f"{line.reason}; " * bool(line.reason) + "from another version of the code: not compared"
        line.comparable = False


def _fill_mt_bench(line: Line, sweep: Sweep, runs: list[Run]) -> bool:
    """Fill in the scores that a judge gave, from 1 to 10, if it graded any of the runs; return whether it did."""
    if not line.column.endswith(MT_BENCH) and line.metric != "negative_loss":
        return False  # the run of another column, too
    judged = [run for run in runs if run.mt_bench is not None]
    judges = sorted({run.judge for run in judged})
    if not judged:
        return False
    if len(judges) > 1:
        line.reason = f"graded by different judges ({', '.join(judges)}): {NOT_AVERAGED}"
        return True
    line.metric = "mt_bench"
    line.ours, line.spread = _statistic_and_spread([run.mt_bench for run in judged if run.mt_bench is not None], sweep)
    line.seeds = len(judged)
    line.reason = f"graded by {judges[0]} with prompts of this package: not compared"
    return True


def _is_mixed(line: Line, finished: list[Result], ignored: Iterable[str] = ()) -> bool:
    """Return whether runs were computed so differently that they have no average, and say so in the line's reason."""
    differing = computation.differences([result.computation for result in finished], ignored)
    if differing:
        line.reason = f"computed differently ({computation.described(differing)}): {NOT_AVERAGED}"
    return bool(differing)


def fill_resource(
    line: Line, sweep: Sweep | None, runs: dict[str, Run], row_cells: dict[str, list[Cell]], prefix: str
) -> None:
    """Fill in what the runs of a row measured; a column such as "GSM8K Param." takes only the runs of GSM8K."""
    if sweep is None:
        return
    used = [cell for cells in row_cells.values() for cell in cells]
    benchmarks = {column.split(" ")[0] for column in row_cells if kind_of(column) == "score" and " " in column}
    if prefix in benchmarks:
        used = [
            cell for cell in used if prefix in (cell.column.split(" ")[0], cell.column.split(" for ")[-1].split()[0])
        ]
    finished = list({cell.run: result for cell in used for result in _finished([cell], runs)}.values())
    line.label = ", ".join(dict.fromkeys(cell.label for cell in used))
    if line.kind == "memory":
        cells_of: dict[str, list[Cell]] = {}
        for cell in used:
            cells_of.setdefault(cell.column, []).append(cell)
        if any(_is_mixed(line, _finished(cells, runs)) for cells in cells_of.values()):
            return
        if _is_mixed(line, finished, computation.OF_RECIPE):  # tasks may have their own settings
            return
    measured = [value for result in finished if (value := RESOURCES[line.kind][1](result)) is not None]
    line.ours, line.spread = _statistic_and_spread(measured, sweep)
    line.seeds = len(measured)
    if len({cell.label for cell in used}) > 1:
        line.reason = "over runs with different hyperparameters"


def fill_average(row_lines: list[Line]) -> None:
    """Fill in a row's average over its printed scores if all of them are there; otherwise name the missing ones."""
    for line in row_lines:
        if line.kind == "average":
            scores = [other for other in row_lines if other.kind == "score" and other.printed]
            line.cells = [cell for other in scores for cell in other.cells]
            missing = [other.column for other in scores if other.ours is None]
            if scores and not missing:
                line.ours = sum(other.ours for other in scores if other.ours is not None) / len(scores)
                line.seeds = min(other.seeds for other in scores)
                line.comparable = all(other.comparable for other in scores)
            elif len(missing) < len(scores):
                line.reason = f"no average without {', '.join(missing)}"
