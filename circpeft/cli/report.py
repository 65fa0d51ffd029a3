"""The `report` command: show the results of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from circpeft import places
from circpeft.cli.output_files import output_path
from circpeft.course.parameters import RequestError
from circpeft.escaping import markdown, print_text
from circpeft.files import expanded
from circpeft.run_files.json_files import printable
from circpeft.suggest import nearest

if TYPE_CHECKING:
    from circpeft.report import Found

FORMAT_OF_SUFFIX = {".md": "markdown", ".csv": "csv", ".tex": "latex", ".json": "json", ".html": "html"}
FILTERS = ("task", "method", "model", "profile")


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "report",
        "Show the results in a folder.",
        "circpeft report runs/cdvft-1-cpu\n  "
        "circpeft report --format html --output report.html\n  "
        "circpeft report runs --table cdvft-1 --format latex --output table.tex",
        "The report contains the table of each sweep beside the paper's numbers, the failed runs, and the files that "
        "cannot be read.",
    )
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="", help="folder to search for results (default: runs/)"
    )
    parser.add_argument(
        "--table", default="", metavar="NAME", help="show only this table (default: the tables of all sweeps)"
    )
    parser.add_argument("--format", default="", metavar="NAME", help="markdown (default), csv, latex, json or html")
    parser.add_argument(
        "--output",
        default="",
        metavar="FILE",
        help="write to FILE; its suffix sets the format unless --format is given",
    )
    parser.add_argument("--json", action="store_true", help="same as --format json")
    for name in FILTERS:
        parser.add_argument(f"--{name}", action="append", metavar="NAME", help=f"show only this {name}; repeatable")
    parser.epilog = f"{parser.epilog}\n\nexit codes: 0 success, 1 a file could not be read, 2 wrong usage"
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print or write the report; return 1 if a file could not be read.

    Raises: RequestError for an unknown folder, table, format or filter value.
    """
    folder = Path(expanded(options.folder)) if options.folder else places.outputs()
    if not folder.is_dir():
        raise RequestError(f"there is no folder {str(folder)!r}; give one that contains results/ at any depth")
    output = output_path(options.output) if options.output else None
    if output and not options.format and not options.json and output.suffix not in FORMAT_OF_SUFFIX:
        raise RequestError(
            f"no format has the suffix {output.suffix!r}; {nearest(output.suffix, FORMAT_OF_SUFFIX)}; or add --format"
        )
    from circpeft import report

    from_suffix = FORMAT_OF_SUFFIX.get(output.suffix if output else "", "markdown")
    format = "json" if options.json else options.format or from_suffix
    if format not in report.FORMATS:
        raise RequestError(f"unknown format {format!r}; {nearest(format, report.FORMATS)}")
    try:
        found = report.scan(folder)
        wanted = {name: getattr(options, name) for name in FILTERS}
        found = report.filtered(found, **{name: values for name, values in wanted.items() if values})
        if format == "html" and output is None:
            output = folder / "report.html"
        if output is not None:
            print_text(report.export(found, options.table or None, format, output))
        elif options.table or format != "markdown":
            print_text(report.FORMATS[format](found, options.table or None, None), end="")
        else:
            print_text(_overview(found))
    except (ValueError, OSError) as error:
        raise RequestError(str(error)) from error
    for word, noted in (("unusable", found.problems), ("left out", found.left_out)):
        for entry in noted:
            print_text(f"{word}: {printable(entry.path)}: {entry.reason}; {entry.remedy}", file=sys.stderr)
    return 1 if found.problems else 0


def _overview(found: Found) -> str:
    """Return the tables of all sweeps, or the list of runs if there is no sweep; then the failed runs."""
    from circpeft import report

    parts = []
    for sweep in found.sweeps:
        states = [cell.state for cell in sweep.cells]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        title = f"{sweep.name}, profile {sweep.profile}, {sweep.statistic} of {sweep.seeds} seeds"
        parts.append(f"## {markdown(title)}: {counts}\n")
        parts.append(report.FORMATS["markdown"](found, sweep.title, sweep))
    if not found.sweeps:
        empty = markdown(f"no records under {printable(found.folder)}")
        parts.append(report.FORMATS["markdown"](found, None, None) if found.runs else empty)
    parts += [markdown(f"failed: {failed.failure.name}: {failed.failure.error}") for failed in found.failures]
    return "\n".join(parts).rstrip()
