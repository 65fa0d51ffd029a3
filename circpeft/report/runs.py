"""Runs, failures, sweeps and unusable files as pandas frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from .. import computation
from ..results import Result
from ..run_files.json_files import printable
from .records import STATES, Found

IDENTITY = ("run", "folder", "task", "method", "label", "model", "profile", "tables", "seed", "metric")
MEASURED = (
    "score",
    "test_score",
    "start_score",
    "best_epoch",
    "trainable_parameters",
    "head_parameters",
    "flops_per_token",
    "base_flops_per_token",
    "peak_bytes",
    "seconds",
    "tokens_per_second",
)
PROVENANCE = ("device", "computation", "unadapted", "commit", "code", "finished")


def adapter_flops(result: Result) -> float | None:
    """Return the FLOPs per token that the method adds to a forward pass; None if they were not counted."""
    if result.flops_per_token is None or result.base_flops_per_token is None:
        return None
    return result.flops_per_token - result.base_flops_per_token


def relative(path: Path, folder: Path) -> str:
    """Return a path relative to the folder that was read; a path outside it stays as it is."""
    return printable(path.relative_to(folder) if path.is_relative_to(folder) else path)


def runs_table(found: Found) -> pd.DataFrame:
    """Return one row per finished run: scores as fractions, everything else in base units."""
    rows = []
    for run in found.runs:
        result = run.result
        row = {"run": run.name, "folder": relative(run.folder, found.folder), "profile": run.profile}
        row |= {name: getattr(result, name) for name in ("task", "method", "label", "seed", "metric")}
        row |= {"model": result.settings.get("model", ""), "tables": ", ".join(run.tables)}
        row |= {name: getattr(result, name) for name in (*MEASURED, *PROVENANCE)}
        row["computation"] = computation.summary(result.computation)
        row["unadapted"] = ", ".join(sorted(result.unadapted))
        rows.append(row | {"adapter_flops_per_token": adapter_flops(result)})
    frame = pd.DataFrame(rows, columns=[*IDENTITY, *MEASURED, "adapter_flops_per_token", *PROVENANCE])
    counted = ["score", "flops_per_token", "base_flops_per_token", "adapter_flops_per_token"]
    return frame.astype(dict.fromkeys(counted, float))  # None becomes NaN even in a column of nothing else


def failures_table(found: Found) -> pd.DataFrame:
    """Return one row per failed run: its settings, its error, the end of the traceback, and what to do."""
    rows = []
    for run in found.failures:
        failure, settings = run.failure, run.failure.settings
        rows.append(
            {
                "run": run.name,
                "folder": relative(run.folder, found.folder),
                "task": settings.get("task", ""),
                "method": settings.get("method", ""),
                "seed": settings.get("seed", ""),
                "error": failure.error,
                "where": "\n".join(failure.traceback.strip().splitlines()[-4:]),
                "finished": failure.finished,
                "remedy": "a record of this run from another time exists: compare their commits"
                if run.has_record
                else "fix the cause, then start the sweep or notebook again: it reuses finished runs",
            }
        )
    names = ["run", "folder", "task", "method", "seed", "error", "where", "finished", "remedy"]
    return pd.DataFrame(rows, columns=names)


def problems_table(found: Found) -> pd.DataFrame:
    """Return one row per unusable file, and per file with unknown fields: its path, the reason, and what to do."""
    noted = (*found.problems, *found.left_out)
    rows = [(relative(p.path, found.folder), p.reason, p.remedy) for p in noted]
    return pd.DataFrame(rows, columns=["file", "reason", "remedy"])


def sweeps_table(found: Found) -> pd.DataFrame:
    """Return one row per sweep, with the number of runs in each state; a run shared by several cells counts once."""
    rows = []
    for sweep in found.sweeps:
        runs = {cell.run: cell.state for cell in sweep.cells}
        row: dict[str, Any] = {
            "sweep": sweep.name,
            "table": sweep.table,
            "folder": relative(sweep.folder, found.folder),
        }
        row |= {"profile": sweep.profile, "seeds": sweep.seeds, "statistic": sweep.statistic}
        row |= {state: list(runs.values()).count(state) for state in STATES}
        rows.append(row | {"left_out": len(sweep.left_out), "started": sweep.started, "commit": sweep.commit})
    names = ["sweep", "table", "folder", "profile", "seeds", "statistic", *STATES, "left_out", "started", "commit"]
    return pd.DataFrame(rows, columns=names)
