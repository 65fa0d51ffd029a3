"""The record of a run: written once, atomically; read by tables, plots and the index."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .files import write_atomically
from .fingerprint import fingerprint
from .method_specs import reads_targets

SCHEMA = 3
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("circpeft", "torch", "transformers", "peft", "datasets", "accelerate", "numpy")


@dataclass
class Result:
    """Outcome of one run.

    ``score`` is the best over the epochs on validation, ``test_score`` that epoch's on the test split, and
    ``start_score`` the model's on it before it was trained; ``trainable_parameters`` leaves the head out; ``seconds``
    is the training with its evaluations, and ``tokens_per_second`` the speed of its steps alone (real tokens, without
    padding; an image's are its patches). ``flops_per_token`` is one forward pass, counted as it ran over a batch and
    divided by that batch's tokens, and ``base_flops_per_token`` the same without the adapter; None where the base is
    quantised, whose products torch cannot count. ``peak_bytes`` is the peak of allocated device memory on a GPU, and of
    the process's resident memory on a CPU (0 where the system does not tell), of several processes the largest; tokens
    are counted over all of them. ``epochs`` holds a row an epoch,
    ``groups`` the test score by the task's group column, ``spectra`` the singular values of ``ΔW`` in two watched
    layers, ``predictions`` those for the test split (of answers the first 200) and ``start_predictions`` the first ones
    before training. ``code`` and ``data`` are fingerprints of the package's source and of the rows: a record is read
    instead of a run only where both are the same. ``state`` is how the run ended; one that failed has a `Failure`.
    """

    task: str
    method: str
    label: str
    seed: int
    metric: str
    score: float
    test_score: float
    start_score: float
    best_epoch: int
    trainable_parameters: int
    head_parameters: int
    seconds: float
    tokens_per_second: float
    flops_per_token: float | None
    base_flops_per_token: float | None
    peak_bytes: int
    rows: dict[str, int]
    split: str
    settings: dict
    device: str
    versions: dict[str, str]
    commit: str
    code: str
    data: str
    finished: str
    epochs: list[dict] = field(default_factory=list)
    losses: list[dict] = field(default_factory=list)
    groups: dict[str, float] = field(default_factory=dict)
    spectra: dict[str, list[float]] = field(default_factory=dict)
    predictions: list = field(default_factory=list)
    start_predictions: list = field(default_factory=list)
    state: str = "finished"
    schema: int = SCHEMA

    @property
    def hyperparameters(self) -> dict:
        """The method's hyperparameters."""
        return self.settings["hyperparameters"]


@dataclass
class Failure:
    """Exit state of a run that ended in an error: what was to run, where, and the error with its traceback."""

    name: str
    settings: dict
    error: str
    traceback: str
    device: str
    versions: dict[str, str]
    commit: str
    code: str
    finished: str
    state: str = "failed"
    schema: int = SCHEMA


def default_folder(name: str) -> Path:
    """Output folder of a notebook that is given none: ``runs/<name>`` beside the package."""
    return ROOT / "runs" / name


@cache
def code_version() -> str:
    """Return the fingerprint of the code that training executes, as it was when first asked for.

    A record with another one is not read: its run is repeated. Changed prose leaves it as it is; see `fingerprint`.
    """
    return fingerprint()


def path_of(name: str, output_dir: str | Path) -> Path:
    """Where the record of a run is kept."""
    return Path(output_dir) / "results" / f"{name}.json"


def failure_path(name: str, output_dir: str | Path) -> Path:
    """Where the failure of a run is kept, until the run succeeds."""
    return Path(output_dir) / "failed" / f"{name}.json"


def write(result: Result | Failure, path: Path) -> Path:
    """Write a record."""
    write_atomically(path, json.dumps(asdict(result), indent=1) + "\n")
    return path


def read(path: str | Path) -> Result:
    """Read a record.

    Raises: ValueError for a file that is not a record of this schema, naming it.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(f"{path} is not a record: {error}; delete it to run again") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema!r}, expected {SCHEMA}; delete it to run again")
    missing = [f.name for f in fields(Result) if f.name not in data]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; delete it to run again")
    return Result(**{f.name: data[f.name] for f in fields(Result)})


def read_all(output_dir: str | Path) -> list[Result]:
    """All records under an output folder, in the order of their names."""
    return [read(path) for path in sorted((Path(output_dir) / "results").glob("*.json"))]


def environment(device: str) -> dict:
    """Device, versions and commit of a run."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"device": device, "versions": versions, "commit": commit(), "code": code_version()}


def commit() -> str:
    """Commit of the code that runs, with "+" where the tree differs from it; "unknown" outside of a git checkout."""
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
    """A pandas table, a row a method: mean and range over seeds of the scores, parameters, seconds and memory.

    "before" is the test score of the model before training.
    """
    import pandas as pd

    rows: dict[str, list[Result]] = {}
    for result in results:
        targets = result.settings["target_modules"]
        key = (result.label, targets if isinstance(targets, str) else ", ".join(targets))
        rows.setdefault(key, []).append(result)
    out = []
    for (label, targets), group in rows.items():
        scores, tests = [r.score for r in group], [r.test_score for r in group]
        out.append(
            {
                "method": label,
                "adapted layers": targets if reads_targets(group[0].method) else "",
                "seeds": len(group),
                "parameters": group[0].trainable_parameters,
                "before": sum(r.start_score for r in group) / len(group),
                "validation": sum(scores) / len(scores),
                "test": sum(tests) / len(tests),
                "test min": min(tests),
                "test max": max(tests),
                "seconds": sum(r.seconds for r in group) / len(group),
                "peak MiB": max(r.peak_bytes for r in group) / 2**20,
            }
        )
    return pd.DataFrame(out)
