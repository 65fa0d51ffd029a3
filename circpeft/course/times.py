"""Measured run times of the notebooks, and the lines in their title cells that state them."""

import argparse
import hashlib
import json
from pathlib import Path

import nbformat
import pandas as pd

from .. import files, places, run_files
from ..escaping import markdown, print_text

MARKER = "<!-- runtime -->"


def record_path() -> Path:
    """Return the path of the record that holds the measured times."""
    return places.shipped() / "benchmarks" / "results" / "course_times.json"


def read() -> dict:
    """Return, by profile, the device, versions, commit, date and seconds by notebook; empty if nothing was measured."""
    if not record_path().exists():
        return {}
    return json.loads(record_path().read_text(encoding="utf-8"))


def table() -> pd.DataFrame:
    """Return the seconds of each notebook, with one column per profile and the device in its heading."""
    columns = {
        f"{profile} ({row['device']}, {row['finished'][:10]})": {
            name: f"{seconds:.0f} s" for name, seconds in row["seconds"].items()
        }
        for profile, row in read().items()
    }
    return pd.DataFrame(columns).rename_axis("notebook")


def show() -> None:
    """Display the table."""
    from IPython.display import display

    display(table())


def line(name: str) -> str:
    """Return the run-time line of a notebook's title cell, or only its marker if nothing was measured."""
    parts = [
        f"{profile} {row['seconds'][name]:.0f} s on {markdown(row['device'])}"
        for profile, row in read().items()
        if name in row["seconds"]
    ]
    return f"**Run time**, measured: {'; '.join(parts)}. {MARKER}" if parts else MARKER


def code_digest(path: Path) -> str:
    """Return a hash of a notebook's code, without the cells that the runner adds."""
    from .runner import ADDED_BY_PAPERMILL  # here, so that showing the times does not load papermill

    cells = nbformat.read(path, as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code" and not ADDED_BY_PAPERMILL & {*c.metadata.get("tags", [])}]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def outdated() -> dict[str, list[str]]:
    """Return, by profile, the notebooks whose code has changed since it was measured, or was never measured."""
    now = {path.stem: code_digest(path) for path in _notebooks()}
    measured = {profile: row.get("code", {}) for profile, row in read().items()}
    return {profile: [n for n, code in now.items() if codes.get(n) != code] for profile, codes in measured.items()}


def _notebooks() -> list[Path]:
    return sorted((places.shipped() / "notebooks").glob("*.ipynb"))


def update(folder: str | Path) -> list[str]:
    """Record the times of a finished course run and rewrite the run-time line of every notebook.

    A run of only some notebooks replaces their times. The record keeps its other times, and says under "later" when
    and at which commit these were measured.

    Returns: the names of the notebooks.

    Raises: ValueError for a run in which a notebook failed, a run of some notebooks on another device than the
    record's, and outside a clone.
    """
    if places.clone() is None:
        raise ValueError("the times are written into the notebooks of a clone; run this in a clone of the repository")
    run = vars(run_files.read_course(Path(folder) / "run.json")[0])
    if run["status"] != "finished":
        raise ValueError(f"the run in {folder} is {run['status']}; use a run in which every notebook finished")
    entries, times = run["notebooks"], read()
    measured = {key: entries[-1][key] for key in ("device", "versions", "commit")} | {"finished": run["finished"]}
    seconds = {entry["name"]: entry["seconds"] for entry in entries}
    code = {name: code_digest(Path(folder) / f"{name}.ipynb") for name in seconds}
    notebooks = _notebooks()
    before = times.get(run["profile"])
    if before is None or seconds.keys() >= {path.stem for path in notebooks}:
        times[run["profile"]] = {**measured, "seconds": seconds, "code": code}
    elif before["device"] != measured["device"]:
        raise ValueError(
            f"the run in {folder} is on {measured['device']}, and the other times are on {before['device']}; "
            "run the whole course, or the same notebooks on that device"
        )
    else:
        before["seconds"] = dict(sorted((before["seconds"] | seconds).items()))
        dated = {name: {key: measured[key] for key in ("commit", "finished")} for name in seconds}
        before["code"] = before.get("code", {}) | code
        before["later"] = before.get("later", {}) | dated
    order = [name for name in ("smoke", "cpu", "paper") if name in times]
    files.write_atomically(record_path(), json.dumps({name: times[name] for name in order}, indent=1) + "\n")
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        title = notebook.cells[0]
        lines = [line(path.stem) if MARKER in text else text for text in title.source.split("\n")]
        title.source = "\n".join(lines)
        files.write_atomically(path, nbformat.writes(notebook) + "\n")
    return [path.stem for path in notebooks]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Record the times of a course run, and write them into the notebooks.")
    parser.add_argument(
        "folder",
        nargs="?",
        help="folder of a run of `circpeft course`, such as runs/20260101T120000Z-cpu-1a2b; without it, the notebooks "
        "that have to be measured again are listed",
    )
    if folder := parser.parse_args().folder:
        print_text(*update(folder), sep="\n")
    else:
        for profile, names in outdated().items():
            print_text(f"{profile}: {', '.join(names) or 'all are current'}")
