"""Run notebooks in order, each in a fresh kernel of this interpreter, into a folder of their own."""

import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from tqdm import tqdm

from circpeft import files, results

from . import index
from .doctor import device
from .parameters import RequestError, check, check_profile, declared, declared_profile, repository, select

KERNEL = {"kernel_name": "python3", "language": "python"}
ADDED_BY_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}


class ThisInterpreter(AsyncKernelManager):
    """Starts kernels on `sys.executable`, whatever `python3` kernel the user's Jupyter folders name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.has_trait("transport_encryption"):  # jupyter_client 8.10; without, each kernel warns of it
            self.transport_encryption = "auto"

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


@dataclass
class CourseRun:
    """A run's folder and its record, the content of `run.json`."""

    folder: Path
    record: dict

    @property
    def failed(self) -> list[dict]:
        """The notebooks that failed, each with its `error`: cell, source, ename, evalue."""
        return [entry for entry in self.record["notebooks"] if entry["status"] == "failed"]

    @property
    def unfinished(self) -> list[dict]:
        """The notebooks that did not run to their end."""
        return [entry for entry in self.record["notebooks"] if entry["status"] != "ok"]

    def save(self) -> None:
        """Write `run.json` whole or not at all, so that an interruption cannot leave half a record."""
        files.write_atomically(self.folder / "run.json", json.dumps(self.record, indent=1) + "\n")


def run_course(
    profile: str | None = None,
    notebooks: Iterable[str | Path] | None = None,
    parameters: Mapping[str, object] | None = None,
    *,
    output_dir: Path | str | None = None,
    resume: bool = False,
    cell_timeout: float = 3600,
    progress: bool = True,
) -> CourseRun:
    """Run notebooks in order and return the run; a notebook that fails stops none of the others.

    Args:
        profile: smoke, cpu or paper; None leaves each notebook its own default.
        notebooks: numbers, names or paths; None is the whole course.
        parameters: values for the notebooks' parameters. Each goes to the notebooks that have it.
        output_dir: where the run's folder is made; `runs/` of the repository by default.
        resume: go on with the newest unfinished run of the same profile, parameters and notebooks.
        cell_timeout: seconds that one cell may take.
        progress: show a progress bar where there is a terminal.

    Raises RequestError, before anything runs, for what `select` and `check` reject, and where there is nothing
    to resume. KeyboardInterrupt passes on once what is finished has been recorded.
    """
    if cell_timeout <= 0:
        raise RequestError(f"cell timeout {cell_timeout} is not a number of seconds above 0")
    paths = select(notebooks)
    given = dict(parameters or {})
    if profile is not None:
        if "profile" in given:
            raise RequestError("parameter 'profile' is given twice: use --profile alone")
        given["profile"] = check_profile(profile)
    values = check(paths, given)
    for path in paths:  # papermill's own preparation, without a kernel: what it cannot inject fails here
        papermill.execute_notebook(nbformat.read(path, as_version=4), None, values[path], prepare_only=True, **KERNEL)
    root = repository() / "runs" if output_dir is None else Path(output_dir).resolve()
    request = {
        "profile": profile or given.get("profile") or declared_profile(paths[0]),
        "parameters": {name: value for each in values.values() for name, value in each.items()},
        "sources": [str(path) for path in paths],
    }
    with _open_run(root, request, resume) as run:
        try:
            _run_all(run, paths, values, cell_timeout, progress)
        except KeyboardInterrupt:
            print(f"\nInterrupted. What is finished stays in {run.folder}", file=sys.stderr)
            raise
        finally:
            for entry in run.record["notebooks"]:
                if entry["status"] == "running":
                    entry["status"] = "interrupted"
            run.record["finished"] = _now()
            run.record["status"] = _status(run)
            run.save()
            index.write(run.folder, run.record)
    return run


def make_folder(root: Path, profile: str) -> Path:
    """A new folder under `root` that no other run has: time (UTC), profile and a random suffix, made exclusively."""
    root.mkdir(parents=True, exist_ok=True)
    while True:
        folder = root / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{profile}-{secrets.token_hex(2)}"
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        return folder


@contextmanager
def _open_run(root: Path, request: dict, resume: bool):
    """The run to work on, new or found, held by a lock that ends with this process."""
    for path in sorted(root.glob("*-*-*/run.json"), reverse=True) if resume else []:
        with ExitStack() as stack:
            try:
                stack.enter_context(files.locked(path.with_name(".lock")))
            except BlockingIOError:
                continue  # another process is at work on it
            run = CourseRun(path.parent, json.loads(path.read_text(encoding="utf-8")))
            if run.unfinished and all(run.record.get(key) == request[key] for key in request):
                yield run
                return
    if resume:
        raise RequestError(
            f"nothing to resume in {root}: no unfinished run of profile {request['profile']!r} "
            f"with these {len(request['sources'])} notebooks and parameters {request['parameters']}"
        )
    folder = make_folder(root, request["profile"])
    for name in ("results", "html"):
        (folder / name).mkdir()
    with files.locked(folder / ".lock"):
        entries = [{"name": Path(source).stem, "status": "pending"} for source in request["sources"]]
        yield CourseRun(folder, {**request, "started": _now(), "status": "running", "notebooks": entries})


def _run_all(run: CourseRun, paths: list[Path], values: Mapping, cell_timeout: float, progress: bool) -> None:
    hide = None if progress else True  # None: tqdm hides the bars itself where the output is no terminal
    with tqdm(total=len(paths), unit="notebook", desc=run.folder.name, disable=hide, position=0) as bar:
        for path, entry in zip(paths, run.record["notebooks"], strict=True):
            digest = _digest(path)
            if entry["status"] == "ok" and entry["digest"] == digest:
                bar.update()
                continue
            entry.clear()
            entry |= {"name": path.stem, "status": "running", "digest": digest, "profile": run.record["profile"]}
            entry |= {"started": _now(), **results.environment(device())}
            run.record["status"] = "running"
            run.save()
            cells = {"desc": path.stem, "position": 1, "leave": False, "disable": hide}
            started = time.monotonic()
            try:
                _run_one(run.folder, path, values[path], cell_timeout, cells)
                entry["status"] = "ok"
            except Exception as error:  # any failure is one notebook's: recorded here, reported at the end
                entry |= {"status": "failed", "error": _describe(error, run.folder / path.name)}
            finally:
                entry["seconds"] = round(time.monotonic() - started, 1)
                run.save()
                _render(run.folder, path, entry)
            tqdm.write(f"{path.stem:<28} {entry['status']:<6} {entry['seconds']:8.1f} s", file=sys.stdout)
            bar.update()


def _run_one(folder: Path, path: Path, values: Mapping, cell_timeout: float, cells: dict) -> None:
    if "output_dir" in declared(path):
        values = {**values, "output_dir": str(folder)}
    papermill.execute_notebook(
        nbformat.read(path, as_version=4),
        str(folder / path.name).replace("{", "{{").replace("}", "}}"),  # papermill formats paths
        values,
        progress_bar=cells,
        execution_timeout=cell_timeout,
        kernel_manager_class=ThisInterpreter,
        resources={"metadata": {"path": str(folder)}},  # the kernel's working directory
        **KERNEL,
    )


def _render(folder: Path, path: Path, entry: dict) -> None:
    """The page of an executed notebook, whole or partial; a notebook without one stops no other."""
    if not (folder / path.name).is_file():
        return
    try:
        index.render(folder / path.name, folder / "html" / f"{path.stem}.html")
    except Exception as error:
        evalue = f"executed, but its page could not be made: {error}"
        entry |= {"status": "failed", "error": {**_describe(error, path), "evalue": evalue}}


def _describe(error: Exception, executed: Path) -> dict:
    """Where and how a notebook failed: the number of the cell in the notebook as it is in the course, and the error."""
    found = {"cell": None, "source": "", "ename": type(error).__name__, "evalue": str(error)}
    if isinstance(error, papermill.PapermillExecutionError):
        found |= {"ename": error.ename, "evalue": error.evalue}
    cells = nbformat.read(executed, as_version=4).cells if executed.is_file() else []
    own = [cell for cell in cells if not ADDED_BY_PAPERMILL & set(cell.metadata.get("tags", []))]
    started = [cell for cell in own if cell.metadata.get("papermill", {}).get("start_time")]
    if started:  # no cell starts after the one that failed
        found |= {"cell": own.index(started[-1]) + 1, "source": started[-1].source}
        found["execution"] = started[-1].get("execution_count")
    return found


def _digest(path: Path) -> str:
    """Tells whether a notebook's cells have changed since they ran."""
    cells = nbformat.read(path, as_version=4).cells
    return hashlib.sha256(json.dumps([[cell.cell_type, cell.source] for cell in cells]).encode()).hexdigest()


def _status(run: CourseRun) -> str:
    if any(entry["status"] in ("pending", "interrupted") for entry in run.record["notebooks"]):
        return "interrupted"
    return "failed" if run.failed else "finished"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
