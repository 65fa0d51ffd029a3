"""What the repository's records say about when and why the methods work, for the notebooks."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML, display
from pandas.io.formats.style import Styler

from circpeft import places, plots
from circpeft.escaping import html, html_table, print_text
from circpeft.suggest import nearest

FOLDER = places.shipped() / "benchmarks" / "results" / "evidence"
# Letters of the parts on the command line of benchmarks/evidence.py, by name of the record.
PARTS = {"block_size": "a", "num_factors": "b", "scarce_data": "c", "fits": "d", "feature_order": "e"}
PARTS |= {"wrong_gradient": "f", "real_text": "g"}
BOLD = "Standard errors in brackets; bold: a difference of at least two standard errors."


def read(name: str, folder: Path = FOLDER) -> dict | None:
    """Return the record of a part of the evidence, or None if its runs have not been made.

    Raises: ValueError for another name; the message names the nearest.
    """
    if name not in PARTS:
        raise ValueError(f"unknown part {name!r} of the evidence; {nearest(name, PARTS)}")
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def show(name: str, folder: Path = FOLDER) -> None:
    """Show a part of the evidence: its figure, the differences between its settings, and notes on them.

    Args:
        name: name of the record: "block_size", "num_factors", "scarce_data", "fits", "feature_order",
            "wrong_gradient" or "real_text".
        folder: where the records are.

    Raises: ValueError for another name; the message names the nearest.
    """
    record = read(name, folder)
    if record is None:
        print_text(f"No record. The runs are made by: python benchmarks/evidence.py --only {PARTS[name]}")
        return
    if record["figure"]:
        plots.show(go.Figure(record["figure"]))
    found = record["comparisons"]
    table = differences(found).to_html() + f"<p>{BOLD}</p>" if found["rows"] else ""
    notes = "".join(f"<li>{html(note)}</li>" for note in found["notes"])
    count = len(record["rows"])
    source = f"benchmarks/results/evidence/{name}.json, {count} row{'s' if count != 1 else ''}"
    display(HTML(f"<p><b>{html(record['question'])}</b></p>{table}<ul>{notes}</ul><p>From {source}.</p>"))


def differences(found: dict) -> Styler:
    """Return the differences of a record as a styled table. What the record has between asterisks is bold.

    >>> table = differences({"heads": ["b", "difference"], "rows": [["16", "**+0.100 (0.010)**"]]})
    >>> "font-weight: bold" in table.to_html()
    True
    """
    frame = pd.DataFrame(found["rows"], columns=found["heads"])
    bold = frame.map(lambda text: "font-weight: bold" if text.startswith("**") else "")
    shown = html_table(frame.map(lambda text: text.strip("*"))).hide(axis="index")
    return shown.apply(lambda _: bold.to_numpy(), axis=None).set_properties(**{"text-align": "left"})
