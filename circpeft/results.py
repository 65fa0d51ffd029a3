"""Records: the JSON file of each run, written once and read by tables, plots and the report."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import computation, places
from .files import write_atomically
from .fingerprint import fingerprint
from .method_specs import reads_targets
from .run_files import json_files
from .run_files.records import SCHEMA, Failure, Result

__all__ = [
    "PACKAGES",
    "ROOT",
    "SCHEMA",
    "Failure",
    "Result",
    "code_version",
    "commit",
    "default_folder",
    "environment",
    "failure_path",
    "path_of",
    "read",
    "read_all",
    "read_failure",
    "read_with_unknown",
    "table",
    "write",
]

ROOT = places.shipped()
REMEDY = "delete it to run again"
PACKAGES = ("circpeft", "torch", "transformers", "peft", "datasets", "accelerate", "numpy")


def default_folder(name: str) -> Path:
    """Return the default output folder of a notebook or sweep: ``runs/<name>`` where `places.outputs` says."""
    return places.outputs() / name


@cache
def code_version() -> str:
    """Return the fingerprint of the code that training executes, as it was when first asked for.

    A record with another one is not read: its run is repeated. Changed prose leaves it as it is; see `fingerprint`.
    """
    return fingerprint()


def path_of(name: str, output_dir: str | Path) -> Path:
    """Return the path of a run's record."""
    return Path(output_dir) / "results" / f"{name}.json"


def failure_path(name: str, output_dir: str | Path) -> Path:
    """Return the path of a run's failure record, which is deleted when the run succeeds."""
    return Path(output_dir) / "failed" / f"{name}.json"


def write(result: Result | Failure, path: Path) -> Path:
    """Write a record, and return its path.

    Raises: OSError if the folder cannot be written to; an existing record is then left as it was.
    """
    write_atomically(path, json.dumps(asdict(result), indent=1) + "\n")
    return path


def read(path: str | Path) -> Result:
    """Read a record.

    Raises: ValueError, naming the file and the field, for one that is not a record of this schema, or names a file
    elsewhere; OSError for one that is missing or cannot be opened.
    """
    return read_with_unknown(path)[0]


def read_with_unknown(path: str | Path) -> tuple[Result, list[str]]:
    """Read a record, and return it with the names of its fields that this version does not know.

    Raises: as `read`.
    """
    result, unknown = json_files.read(path, Result, SCHEMA, REMEDY)
    for name in (result.weight_changes, *result.weights):
        if Path(name).anchor or ".." in Path(name).parts:  # a drive is an anchor, too
            raise json_files.FileError(path, f"names {name[:200]!r}, outside its folder", remedy=REMEDY)
    if result.score is None and "validation" in result.rows:  # a run may train on all rows
        raise json_files.FileError(path, "has score = null, but rows of validation", remedy=REMEDY)
    return result, unknown


def read_failure(path: str | Path) -> tuple[Failure, list[str]]:
    """Read the record of a failed run, and return it with the names of its fields that this version does not know.

    Raises: as `read`.
    """
    return json_files.read(path, Failure, SCHEMA, "delete it; restart the sweep or notebook to repeat the run")


def read_all(output_dir: str | Path) -> list[Result]:
    """Read all records under an output folder, in the order of their names.

    Raises: ValueError, naming the file, for one that is not a record.
    """
    return [read(path) for path in sorted((Path(output_dir) / "results").glob("*.json"))]


def environment(device: str) -> dict:
    """Return the fields of a record that describe where it was made: device, versions, commit and code."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"device": device, "versions": versions, "commit": commit(), "code": code_version()}


def commit() -> str:
    """Return the commit of the present code, with "+" if the files differ from it; "unknown" outside a git checkout."""
    if not (ROOT / ".git").exists():
        return "unknown"

    def git(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)

    head = git("rev-parse", "--short=12", "HEAD")
    if head.returncode:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return head.stdout.strip() + ("+" if changed else "")


def table(results: list[Result]):
    """Return a pandas table with a row for each method (and its target modules), averaged over seeds.

    Runs that were computed differently have separate rows, with what differs after the method's name.

    The columns are: method, adapted layers, number of seeds, trainable parameters, mean test score before training,
    mean validation and test scores, lowest and highest test score, mean seconds, and the highest peak memory.
    """
    import pandas as pd

    groups: dict[tuple[str, str], list[Result]] = {}
    separate: list[tuple[str, str, list[Result]]] = []
    for result in results:
        targets = result.settings.get("target_modules", "")
        key = (result.label, targets if isinstance(targets, str) else ", ".join(targets))
        groups.setdefault(key, []).append(result)
    for (label, targets), group in groups.items():
        for facts, alike in computation.split(group, lambda result: result.computation):
            separate.append((f"{label} ({facts})" if facts else label, targets, alike))
    rows = []
    for label, targets, group in separate:
        scores, tests = [r.score for r in group if r.score is not None], [r.test_score for r in group]
        rows.append(
            {
                "method": label,
                "adapted layers": targets if reads_targets(group[0].method) else "",
                "seeds": len(group),
                "parameters": group[0].trainable_parameters,
                "before": sum(r.start_score for r in group) / len(group),
                "validation": sum(scores) / len(scores) if scores else math.nan,
                "test": sum(tests) / len(tests),
                "test min": min(tests),
                "test max": max(tests),
                "seconds": sum(r.seconds for r in group) / len(group),
                "peak MiB": max(r.peak_bytes for r in group) / 2**20,
            }
        )
    return pd.DataFrame(rows)
