r"""Measure when and why the methods work: one command, which continues where it was interrupted.

    .venv/bin/python benchmarks/evidence.py                        # everything
    .venv/bin/python benchmarks/evidence.py --only a,c --minutes 60
    .venv/bin/python benchmarks/evidence.py --only g --data FOLDER # SmolLM2 on FOLDER/viggo, FOLDER/gsm8k, FOLDER/sql
    .venv/bin/python benchmarks/evidence.py --keep                 # only what the records do not have yet
    .venv/bin/python benchmarks/evidence.py --estimate             # only print the runs and the time
    .venv/bin/python benchmarks/evidence.py --smoke                # see that it works: a few tiny runs, nothing written
    .venv/bin/python benchmarks/evidence.py --pages                # write the page from the records

Each part has a module with five functions, so that a part can be added in `PARTS`:

- ``counts(name, options)`` returns the number of runs, how many are missing, and the estimated minutes for those;
- ``run(name, options, earlier)`` does what is missing until ``options.is_over``, and returns the part's record, a
  dictionary for JSON (``earlier`` is the record on file, or None);
- ``comparisons(record)`` returns the differences between its settings, as a table with notes;
- ``page_text(record)`` returns the part's tables in Markdown, with a last line about device and versions;
- ``figure(record)`` returns a plotly figure, or None.

The command writes ``benchmarks/results/evidence/NAME.json`` and ``NAME.png``, and the part of docs/evidence.md between
the markers "evidence-NAME". The record also has the differences and the figure, which the notebooks show
(`circpeft.course.evidence`). The choice of learning rates is in benchmarks/evidence_cells.py.
"""

import argparse
import base64
import importlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from evidence_options import Options
from evidence_pages import table
from evidence_stats import Comparisons
from page_parts import Part as PagePart

from circpeft import files, plots, results
from circpeft.suggest import nearest
from circpeft.training.logging_filters import quiet

RECORDS = results.ROOT / "benchmarks" / "results" / "evidence"
PAGE = "docs/evidence.md"
NOT_MADE = "This run has not been made yet.\n"


@dataclass(frozen=True)
class Part:
    """A part of the evidence.

    Attributes:
        letter: its name on the command line.
        name: name of its record, picture and marker.
        question: the question that it answers.
        module: name of its module in benchmarks/.
    """

    letter: str
    name: str
    question: str
    module: str

    @property
    def code(self) -> ModuleType:
        """The module, imported on first use."""
        return importlib.import_module(self.module)

    @property
    def record_path(self) -> Path:
        """The path of the record."""
        return RECORDS / f"{self.name}.json"

    @property
    def on_page(self) -> PagePart:
        """The text between the part's markers."""
        return PagePart(f"evidence-{self.name}", PAGE)


PARTS = {
    part.letter: part
    for part in (
        Part("a", "block_size", "Is a larger block always worse?", "evidence_training"),
        Part("b", "num_factors", "How many factors does CDVFT need?", "evidence_training"),
        Part("c", "scarce_data", "Do circulants help where data is scarce?", "evidence_training"),
        Part("d", "fits", "How much of a real ΔW can each form represent?", "evidence_fits"),
        Part("e", "feature_order", "Does the order of the features matter?", "evidence_order"),
        Part("f", "wrong_gradient", "What does PEFT's wrong input gradient cost?", "evidence_training"),
        Part("g", "real_text", "How do the methods compare on a real language model?", "evidence_real_text"),
    )
}


def chosen_parts(text: str) -> list[Part]:
    """Return the parts of a list such as "a,c"; "" means all.

    Raises: ValueError for an unknown letter, with the choices.

    >>> [part.name for part in chosen_parts("c,a")]
    ['block_size', 'scarce_data']
    """
    letters = [letter.strip() for letter in text.split(",") if letter.strip()] or list(PARTS)
    for letter in letters:
        if letter not in PARTS:
            raise ValueError(f"unknown part {letter!r}; {nearest(letter, PARTS)}")
    return [part for letter, part in PARTS.items() if letter in letters]


def estimate_text(counts: dict[str, tuple[int, int, float]]) -> str:
    """Return a line for each part, and the total: runs, runs to do, and minutes.

    >>> print(estimate_text({"a": (60, 12, 30.0), "b": (18, 18, 42.4)}))
    a: 60 runs, 12 to do, about 30 minutes
    b: 18 runs, 18 to do, about 42 minutes
    total: 78 runs, 30 to do, about 1 h 12 min
    """
    lines = [
        f"{letter}: {runs} runs, {missing} to do, about {minutes:.0f} minutes"
        for letter, (runs, missing, minutes) in counts.items()
    ]
    runs, missing, minutes = (sum(column) for column in zip(*counts.values(), strict=True))
    hours, rest = divmod(round(minutes), 60)
    total = f"total: {runs} runs, {missing} to do, about {hours} h {rest:02} min"
    shared = " (a and e share runs, which count twice here)" if {"a", "e"} <= set(counts) else ""
    return "\n".join([*lines, total + shared])


def read_record(path: Path) -> dict | None:
    """Return the record in a file, or None if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def names_on_record(parts: list[Part]) -> frozenset[str]:
    """Return the names of the runs that the records of these parts have, from whatever machine and version."""
    records = [read_record(part.record_path) or {} for part in parts]
    return frozenset(row["run"] for record in records for row in record.get("rows", []) if "run" in row)


def comparison_lines(found: Comparisons) -> list[str]:
    """Return the lines of a table of differences, then its notes as a list.

    >>> comparison_lines(Comparisons(("b", "difference"), [("16", "+0.010 (0.004)")], ["A note."]))
    ['| b | difference |', '|---|---|', '| 16 | +0.010 (0.004) |', '', '- A note.', '']
    """
    lines = [*table(found.heads, found.rows), ""] if found.rows else []
    return [*lines, *(f"- {note}" for note in found.notes), *([""] if found.notes else [])]


def part_text(part: Part, record: dict | None) -> str:
    """Return the page's text of a part: its tables, its notes and its picture, or that it has not been run."""
    if not record or not record.get("rows"):
        return NOT_MADE
    compared = "\n".join(comparison_lines(part.code.comparisons(record)))
    source = (
        f"Record: `benchmarks/results/evidence/{part.name}.json`, by `benchmarks/evidence.py --only {part.letter}`; "
        f"[picture](../benchmarks/results/evidence/{part.name}.png).\n"
    )
    return f"{part.code.page_text(record)}\n{compared}\n{source}"


def plain(value: Any) -> Any:
    """Return a part of a plotly figure with lists of numbers instead of plotly's binary arrays of one dimension.

    >>> plain({"y": {"dtype": "i1", "bdata": "AQI="}, "x": ["a"]})
    {'y': [1, 2], 'x': ['a']}
    """
    if isinstance(value, dict):
        if set(value) == {"dtype", "bdata"}:
            return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).tolist()
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def publish(part: Part, record: dict) -> None:
    """Write a part's record, with its question, differences and figure, its picture, and its text in the page."""
    picture = part.code.figure(record)
    drawn = plain(json.loads(picture.to_json())) if picture is not None else None
    shown = {"question": part.question, "comparisons": asdict(part.code.comparisons(record)), "figure": drawn}
    files.write_atomically(part.record_path, json.dumps({**record, **shown}, indent=1) + "\n")
    if picture is not None:
        plots.save(picture, part.record_path.with_suffix(".png"))
    part.on_page.write(part_text(part, record))


def parsed(argv: list[str] | None) -> tuple[argparse.Namespace, list[Part], Options]:
    """Return the command line, the chosen parts, and their options."""
    parser = argparse.ArgumentParser(description="Measure when and why the methods work.")
    parser.add_argument("--only", default="", help="letters of the parts, such as a,c; all by default")
    parser.add_argument("--smoke", action="store_true", help="a few tiny runs; nothing is written to the repository")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time; what has finished stays")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds of the training runs")
    parser.add_argument("--workers", type=int, default=2, help="processes at the same time, which share the cores")
    parser.add_argument("--data", type=Path, help="folder with the data folders of part g: viggo, gsm8k, sql")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="train only the runs that the records do not have yet; part d is always made whole",
    )
    parser.add_argument("--to", type=Path, help="output folder of the runs")
    parser.add_argument("--estimate", action="store_true", help="print the number of runs and the time, and end")
    parser.add_argument("--pages", action="store_true", help="write page and pictures from the records, and end")
    arguments = parser.parse_args(argv)
    try:
        parts = chosen_parts(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.data is not None and not arguments.data.is_dir():
        parser.error(f"--data {arguments.data} is not a folder")
    folder = arguments.to or results.default_folder("evidence-smoke" if arguments.smoke else "evidence")
    limits = arguments.seeds, arguments.workers, arguments.minutes
    kept = names_on_record(parts) if arguments.keep else frozenset()
    options = Options(folder, arguments.smoke, *limits, arguments.data, kept)
    return arguments, parts, options


def main(argv: list[str] | None = None) -> None:
    """Print the estimate, run what is missing, and write and print what was found."""
    arguments, parts, options = parsed(argv)
    quiet()
    if arguments.pages:
        for part in parts:
            if record := read_record(part.record_path):
                publish(part, record)
        return
    estimates = {part.letter: part.code.counts(part.name, options) for part in parts}
    print(estimate_text(estimates), file=sys.stderr, flush=True)
    for part in parts if not arguments.estimate else ():
        if options.is_over:
            print(f"{part.letter}: not begun, the time is over", file=sys.stderr, flush=True)
            continue
        record = part.code.run(part.name, options, None if options.smoke else read_record(part.record_path))
        if not record.get("rows"):
            print(f"{part.letter}. {part.question} No run has finished.", flush=True)
            continue
        if not options.smoke:
            publish(part, record)
        print(f"{part.letter}. {part.question}", flush=True)
        print("\n".join(comparison_lines(part.code.comparisons(record))), flush=True)


if __name__ == "__main__":
    main()
