"""The notebook runner: runs notebooks in order, each in a fresh kernel, and saves them in a new folder."""

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from tqdm import tqdm

from circpeft import files, places, results
from circpeft.escaping import terminal

from . import index, notebook_page
from .course_run import CourseRun, now, open_run
from .doctor import device
from .parameters import (
    RequestError,
    check,
    check_profile,
    declared,
    declared_profile,
    read_notebook,
    select,
)

KERNEL = {"kernel_name": "python3", "language": "python"}
ADDED_BY_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}


class ThisInterpreter(AsyncKernelManager):
    """A kernel manager that starts kernels with `sys.executable`, whatever the user's kernel `python3` is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.has_trait("transport_encryption"):  # jupyter_client 8.10 warns for each kernel without it
            self.transport_encryption = "auto"

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


def run_course(
    profile: str | None = None,
    notebooks: Iterable[str | Path] | None = None,
    parameters: Mapping[str, object] | None = None,
    *,
    output_dir: Path | str | None = None,
    resume: bool = False,
    cell_timeout: float | None = None,
    progress: bool = True,
) -> CourseRun:
    """Run notebooks in order and return the run. If a notebook fails, the others continue.

    Args:
        profile: smoke, cpu or paper; None keeps each notebook's own default.
        notebooks: numbers, names or paths; None runs the whole course.
        parameters: values of the notebooks' parameters; each goes to the notebooks that declare the parameter.
        output_dir: folder in which the run's folder is created; by default that of `places.outputs`.
        resume: resume the newest unfinished run with the same profile, notebooks and parameters.
        cell_timeout: the longest time in seconds that one cell may take; None sets no limit.
        progress: show a progress bar if the output is a terminal.

    Raises:
        RequestError: for anything that `select` or `check` rejects, or if there is no run to resume; no notebook has
            run then.
        KeyboardInterrupt: if interrupted, after the finished notebooks are recorded.
    """
    if cell_timeout is not None and cell_timeout <= 0:
        raise RequestError(f"cell timeout {cell_timeout} is too small; give a number of seconds above 0")
    paths = select(notebooks)
    given = dict(parameters or {})
    if profile is not None:
        if "profile" in given:
            raise RequestError("parameter 'profile' is given twice; use only --profile")
        given["profile"] = check_profile(profile)
    values = check(paths, given)
    for path in paths:  # a dry run of papermill, so that a value it cannot inject raises now
        papermill.execute_notebook(read_notebook(path), None, values[path], prepare_only=True, **KERNEL)
    root = places.outputs() if output_dir is None else Path(files.expanded(output_dir)).resolve()
    request = {
        "profile": profile or given.get("profile") or declared_profile(paths[0]),
        "parameters": {name: value for each in values.values() for name, value in each.items()},
        "sources": [str(path) for path in paths],
    }
    with open_run(root, request, resume) as run:
        try:
            _run_all(run, paths, values, cell_timeout, progress)
        except KeyboardInterrupt as error:
            error.add_note(f"finished notebooks stay in {run.folder}")
            raise
        finally:
            for entry in run.record["notebooks"]:
                if entry["status"] == "running":
                    entry["status"] = "interrupted"
            run.record["finished"] = now()
            run.record["status"] = _status(run)
            run.save()
            index.write(run.folder, run.record)
    return run


def _run_all(run: CourseRun, paths: list[Path], values: Mapping, cell_timeout: float | None, progress: bool) -> None:
    hide = None if progress else True  # with None, tqdm shows the bars only in a terminal
    with tqdm(total=len(paths), unit="notebook", desc=terminal(run.folder.name), disable=hide, position=0) as bar:
        for path, entry in zip(paths, run.record["notebooks"], strict=True):
            digest = _digest(path)
            if entry["status"] == "ok" and entry["digest"] == digest:
                bar.update()
                continue
            entry.clear()
            entry |= {"name": path.stem, "status": "running", "digest": digest, "profile": run.record["profile"]}
            entry |= {"started": now(), **results.environment(device())}
            run.record["status"] = "running"
            run.save()
            cell_bar = {"desc": terminal(path.stem), "position": 1, "leave": False, "disable": hide}
            started = time.monotonic()
            try:
                _run_one(run.folder, path, values[path], cell_timeout, cell_bar)
                files.sync_file(run.folder / path.name)  # before the record that it is finished
                entry["status"] = "ok"
            except Exception as error:  # a failure is recorded here and reported at the end; the others continue
                entry |= {"status": "failed", "error": _describe(error, run.folder / path.name)}
            finally:
                entry["seconds"] = round(time.monotonic() - started, 1)
                run.save()
                _render(run.folder, path, entry)
                run.save()  # a page that cannot be written is a failure
            line = f"{path.stem:<28} {entry['status']:<6} {entry['seconds']:8.1f} s"
            tqdm.write(terminal(line), file=sys.stdout)
            bar.update()


def _run_one(folder: Path, path: Path, values: Mapping, cell_timeout: float | None, cell_bar: dict) -> None:
    if "output_dir" in declared(path):
        values = {**values, "output_dir": str(folder)}
    papermill.execute_notebook(
        read_notebook(path),
        str(folder / path.name).replace("{", "{{").replace("}", "}}"),  # papermill calls str.format on paths
        values,
        progress_bar=cell_bar,
        execution_timeout=cell_timeout,
        kernel_manager_class=ThisInterpreter,
        resources={"metadata": {"path": str(folder)}},  # the kernel's working directory
        **KERNEL,
    )


def _render(folder: Path, path: Path, entry: dict) -> None:
    """Write the page of an executed notebook. If that fails, record it as the notebook's failure."""
    if not (folder / path.name).is_file():
        return
    try:
        notebook_page.write_page(folder / path.name, folder / "html" / f"{path.stem}.html")
    except Exception as error:
        evalue = f"the notebook ran, but its page could not be written: {error}"
        entry |= {"status": "failed", "error": {**_describe(error, path), "evalue": evalue}}


def _describe(error: Exception, executed: Path) -> dict:
    """Return the error of a failed notebook and its cell, with the cell's number in the notebook of the course."""
    description: dict[str, Any] = {"cell": None, "source": "", "ename": type(error).__name__, "evalue": str(error)}
    if isinstance(error, papermill.PapermillExecutionError):
        description |= {"ename": error.ename, "evalue": error.evalue}
    cells = nbformat.read(executed, as_version=4).cells if executed.is_file() else []
    original = [cell for cell in cells if not ADDED_BY_PAPERMILL & set(cell.metadata.get("tags", []))]
    started = [cell for cell in original if cell.metadata.get("papermill", {}).get("start_time")]
    if started:  # the last cell that started is the one that failed
        description |= {"cell": original.index(started[-1]) + 1, "source": started[-1].source}
        description["execution"] = started[-1].get("execution_count")
    return description


def _digest(path: Path) -> str:
    """Return a hash of a notebook's cells, which changes if a cell is edited."""
    cells = read_notebook(path).cells
    return hashlib.sha256(json.dumps([[cell.cell_type, cell.source] for cell in cells]).encode()).hexdigest()


def _status(run: CourseRun) -> str:
    if any(entry["status"] in ("pending", "interrupted") for entry in run.record["notebooks"]):
        return "interrupted"
    return "failed" if run.failed else "finished"
