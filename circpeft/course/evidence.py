"""What the repository's records say about when and why the methods work, for the notebooks."""

from __future__ import annotations

import json
from pathlib import Path

import plotly.graph_objects as go
from IPython.display import HTML, display

from circpeft import places, plots
from circpeft.escaping import html, print_text
from circpeft.suggest import nearest

FOLDER = places.shipped() / "benchmarks" / "results" / "evidence"
# Letters of the parts on the command line of benchmarks/evidence.py, by name of the record.
PARTS = {"block_size": "a", "num_factors": "b", "scarce_data": "c", "fits": "d", "feature_order": "e"}
PARTS |= {"wrong_gradient": "f", "real_text": "g"}


def read(name: str, folder: Path = FOLDER) -> dict | None:
    """Return the record of a part of the evidence, or None if its runs have not been made.

    Raises: ValueError for another name; the message names the nearest.
    """
    if name not in PARTS:
        raise ValueError(f"unknown part {name!r} of the evidence; {nearest(name, PARTS)}")
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def show(name: str, mentions: str = "", folder: Path = FOLDER) -> None:
    """Show the figure of a part of the evidence and the sentences that its record supports.

    Args:
        name: name of the record: "block_size", "num_factors", "scarce_data", "fits", "feature_order",
            "wrong_gradient" or "real_text".
        mentions: only the sentences that contain this text, in small or capital letters.
        folder: where the records are.

    Raises: ValueError for another name; the message names the nearest.
    """
    record = read(name, folder)
    if record is None:
        print_text(f"No record. The runs are made by: python benchmarks/evidence.py --only {PARTS[name]}")
        return
    if record["figure"]:
        plots.show(go.Figure(record["figure"]))
    found = [text for text in record["conclusions"] if mentions.lower() in text.lower()]
    points = "".join(f"<li>{html(text)}</li>" for text in found)
    source = f"benchmarks/results/evidence/{name}.json, {len(record['rows'])} rows"
    display(HTML(f"<p><b>{html(record['question'])}</b></p><ul>{points}</ul><p>From {source}.</p>"))
