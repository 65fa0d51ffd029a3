"""A run of the course on disk: its folder, its record, and the choice of the run to resume."""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from circpeft import files, run_files
from circpeft.escaping import print_text
from circpeft.run_files.ownership import BusyError, owned

from .parameters import RequestError


@dataclass
class CourseRun:
    """A run: its folder, and its record, which is the content of `run.json`."""

    folder: Path
    record: dict

    @property
    def failed(self) -> list[dict]:
        """Return the failed notebooks, each with its `error`: cell, source, ename, evalue."""
        return [entry for entry in self.record["notebooks"] if entry["status"] == "failed"]

    @property
    def unfinished(self) -> list[dict]:
        """Return the notebooks that did not run to their end."""
        return [entry for entry in self.record["notebooks"] if entry["status"] != "ok"]

    def save(self) -> None:
        """Write `run.json`, completely or not at all, so that an interruption cannot leave half a record."""
        files.write_atomically(self.folder / "run.json", json.dumps(self.record, indent=1) + "\n")


def make_folder(root: Path, profile: str) -> Path:
    """Create and return a new folder in `root`, named by time (UTC), profile and a random suffix."""
    root.mkdir(parents=True, exist_ok=True)
    while True:
        folder = root / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{profile}-{secrets.token_hex(2)}"
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        return folder


@contextmanager
def open_run(root: Path, request: dict, resume: bool) -> Iterator[CourseRun]:
    """Yield the run to work on, new or resumed, under a lock that ends with this process."""
    others = ""
    for path in sorted(root.glob("*-*-*/run.json"), reverse=True) if resume else []:
        with ExitStack() as stack:
            try:
                stack.enter_context(owned(path.with_name(".lock")))
            except BusyError as busy:
                others += f"; another process works on {path.parent.name} ({busy})"
                continue
            except OSError as error:  # a folder that cannot be written to
                print_text(f"left out: {path.parent}: {error}", file=sys.stderr)
                continue
            if (run := _read_run(path)) is None:
                continue
            if run.unfinished and all(run.record.get(key) == request[key] for key in request):
                yield run
                return
    if resume:
        raise RequestError(
            f"nothing to resume in {root}: it has no unfinished run with profile {request['profile']!r}, these "
            f"{len(request['sources'])} notebooks and parameters {request['parameters']}{others}"
        )
    try:
        folder = make_folder(root, request["profile"])
    except OSError as error:
        raise RequestError(
            f"cannot write into {str(root)!r}: {error.strerror or error}; choose another folder with --output-dir"
        ) from error
    for name in ("results", "html"):
        (folder / name).mkdir()
    with owned(folder / ".lock"):
        entries = [{"name": Path(source).stem, "status": "pending"} for source in request["sources"]]
        yield CourseRun(folder, {**request, "started": now(), "status": "running", "notebooks": entries})


def _read_run(path: Path) -> CourseRun | None:
    """Return the run of a `run.json`; None, after a line about it, for one that cannot be used."""
    try:
        record, unknown = run_files.read_course(path)
    except (OSError, ValueError) as error:
        print_text(f"left out: {' '.join(str(error).split())}", file=sys.stderr)
        return None
    if unknown:
        print_text(f"left out: {path}: fields that this version does not know: {', '.join(unknown)}", file=sys.stderr)
    return CourseRun(path.parent, {name: value for name, value in vars(record).items() if value is not None})


def now() -> str:
    """Return the time (UTC) as the record has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
