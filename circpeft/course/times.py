"""Measured run times of the notebooks: from the record of a course run into the notebooks' title cells."""

import argparse
import json
from pathlib import Path

import nbformat
import pandas as pd

from .. import files
from .parameters import repository

MARKER = "<!-- runtime -->"


def record_path() -> Path:
    """The record that the notebooks' run-time lines come from."""
    return repository() / "benchmarks" / "results" / "course_times.json"


def read() -> dict:
    """Profile -> device, versions, commit, date, and seconds by notebook; empty where nothing was measured."""
    if not record_path().exists():
        return {}
    return json.loads(record_path().read_text(encoding="utf-8"))


def table() -> pd.DataFrame:
    """Seconds of each notebook, a column a profile with the device it was measured on."""
    columns = {
        f"{profile} ({row['device']}, {row['finished'][:10]})": {n: f"{s:.0f} s" for n, s in row["seconds"].items()}
        for profile, row in read().items()
    }
    return pd.DataFrame(columns).rename_axis("notebook")


def show() -> None:
    """Display the table."""
    from IPython.display import display

    display(table())


def line(name: str) -> str:
    """The run-time line of a notebook's title cell, marker included; the marker alone where nothing was measured."""
    parts = [
        f"{profile} {row['seconds'][name]:.0f} s on {row['device']}"
        for profile, row in read().items()
        if name in row["seconds"]
    ]
    return f"**Run time**, measured: {'; '.join(parts)}. {MARKER}" if parts else MARKER


def update(folder: str | Path) -> list[str]:
    """Record the times of a finished run, and write every notebook's run-time line anew; returns the notebooks' names.

    Raises: ValueError for a run that is not wholly finished.
    """
    run = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
    if run["status"] != "finished":
        raise ValueError(f"{folder} is {run['status']}; times are taken from a run in which every notebook finished")
    entries = run["notebooks"]
    known = read()
    known[run["profile"]] = {
        **{key: entries[-1][key] for key in ("device", "versions", "commit")},
        "finished": run["finished"],
        "seconds": {entry["name"]: entry["seconds"] for entry in entries},
    }
    order = [name for name in ("smoke", "cpu", "paper") if name in known]
    files.write_atomically(record_path(), json.dumps({name: known[name] for name in order}, indent=1) + "\n")
    notebooks = sorted((repository() / "notebooks").glob("*.ipynb"))
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        title = notebook.cells[0]
        lines = [line(path.stem) if MARKER in text else text for text in title.source.split("\n")]
        title.source = "\n".join(lines)
        files.write_atomically(path, nbformat.writes(notebook) + "\n")
    return [path.stem for path in notebooks]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Record the times of a course run and write them into the notebooks.")
    parser.add_argument("folder", help="a folder that circpeft course wrote, such as runs/20260101T120000Z-cpu-1a2b")
    print(*update(parser.parse_args().folder), sep="\n")
