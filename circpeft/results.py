"""Records: the JSON file of each run, written once and read by tables, plots and the report."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import computation, places
from .files import write_atomically
from .fingerprint import fingerprint
from .method_specs import reads_targets
from .run_files import json_files
from .run_files.json_files import Count, Name, Number, Positive, Text
from .run_files.record_parts import Computation, Epoch, FailedSettings, Loss, Settings, WeightFile

SCHEMA = 3
ROOT = places.shipped()
REMEDY = "delete it to run again"
PACKAGES = ("circpeft", "torch", "transformers", "peft", "datasets", "accelerate", "numpy")


@dataclass
class Result:
    """The record of one run.

    A record is read instead of repeating its run only if ``code`` and ``data`` are those of the present code and rows,
    and ``computation`` does not differ from what this process would compute.

    Attributes:
        task: name of the task.
        method: name of the method.
        label: the method with its hyperparameters, as `recipes.parse_method` reads it.
        seed: the seed.
        metric: name of the task's metric; higher is better.
        score: score on validation of the epoch that was tested; None without a validation split.
        test_score: score of that epoch on the test split.
        start_score: score of the model on the test split before it was trained.
        best_epoch: number of the epoch that was tested, from 1: the one with the best score, or the last one if the
            settings have ``tested_epoch`` "last".
        trainable_parameters: parameters that the method trains, without the head.
        head_parameters: trainable parameters of the head.
        seconds: duration of the training with its evaluations.
        tokens_per_second: speed of the training steps only. Padding does not count. A token of an image is a patch.
        flops_per_token: FLOPs of one forward pass over a batch, divided by that batch's tokens (padding included). None
            for a quantised base model, because torch cannot count its products.
        base_flops_per_token: the same without the adapter.
        peak_bytes: peak of allocated device memory on a GPU, of the process's resident memory on a CPU; 0 if the system
            does not report it. The largest of several processes.
        rows: number of rows of each split.
        split: how the data was split, and what was left out.
        settings: everything in the recipe that decides the outcome.
        device: name of the device.
        versions: versions of Python and of the packages that a run uses.
        commit: commit of the code, with "+" if the files differ from it; "unknown" outside a git checkout.
        code: fingerprint of the code that training executes.
        data: fingerprint of the rows.
        finished: time when the run ended, in UTC.
        epochs: number, validation score and validation loss of each epoch; empty without a validation split.
        losses: training loss over the run, each with its (fractional) epoch.
        groups: test score within each value of the task's group column.
        spectra: singular values of ``ΔW`` in two watched layers.
        kernel_ranks: ranks of all learnt circulants by block size, beside those of random kernels; see
            `training.kernel_ranks`. Empty for methods without kernels, and in records of earlier versions.
        weight_changes: path, from the output folder, of the file that shows ``ΔW`` after each epoch; see
            `training.weight_changes`. "" without one, and in records of earlier versions.
        predictions: predictions on the test split; of generated answers only the first 200.
        start_predictions: the first predictions on the test split before training.
        computation: how the run was computed, read from what ran: see `training.computed`. Empty in records of earlier
            versions.
        unadapted: weights of fused experts that the method left frozen, as target_parameters names them, each with its
            number of elements over all layers. Empty for methods without targets.
        chat_template: whether the prompts are in the model's chat template. None for tasks without prompts, and in
            records of earlier versions.
        other_scores: test scores of the same answers by other rules, such as "math_verify" for MATH. Empty for tasks
            without one, without that package, and in records of earlier versions.
        weights: size and SHA-256 of each file of the trained weights, by its name. Empty if none were saved on this
            machine, and in records of earlier versions.
        state: how the run ended: "finished". A run that failed has a `Failure`.
        schema: version of this list of fields.
    """

    task: Name
    method: Name
    label: Name
    seed: Count
    metric: Name
    score: Number | None
    test_score: Number
    start_score: Number
    best_epoch: Count
    trainable_parameters: Count
    head_parameters: Count
    seconds: Positive
    tokens_per_second: Positive
    flops_per_token: Positive | None
    base_flops_per_token: Positive | None
    peak_bytes: Count
    rows: dict[str, Count]
    split: Text
    settings: Settings
    device: Name
    versions: dict[str, str]
    commit: Name
    code: Name
    data: Name
    finished: Name
    epochs: list[Epoch] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    groups: dict[str, Number] = field(default_factory=dict)
    spectra: dict[str, list[Positive]] = field(default_factory=dict)
    predictions: list = field(default_factory=list)
    start_predictions: list = field(default_factory=list)
    computation: Computation = field(default_factory=dict)
    unadapted: dict[str, Count] = field(default_factory=dict)
    kernel_ranks: dict[str, dict] = field(default_factory=dict)
    chat_template: bool | None = None
    weight_changes: Text = ""
    other_scores: dict[str, Number] = field(default_factory=dict)
    weights: dict[str, WeightFile] = field(default_factory=dict)
    state: Name = "finished"
    schema: int = SCHEMA

    @property
    def hyperparameters(self) -> dict:
        """The method's hyperparameters."""
        return self.settings["hyperparameters"]


@dataclass
class Failure:
    """The record of a run that ended in an error.

    Attributes:
        name: name of the run.
        settings: everything in the recipe that decides the outcome.
        error: message of the error.
        traceback: its traceback.
        device, versions, commit, code, finished: as in `Result`.
        state: "failed".
        schema: version of this list of fields.
    """

    name: Text
    settings: FailedSettings
    error: str
    traceback: str
    device: Name
    versions: dict[str, str]
    commit: Name
    code: Name
    finished: Name
    state: Name = "failed"
    schema: int = SCHEMA


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
        if Path(name).is_absolute() or ".." in Path(name).parts:
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
        targets = result.settings["target_modules"]
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
