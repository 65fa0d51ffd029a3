"""The command that shows what runs have left behind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from circpeft.course.parameters import RequestError
from circpeft.suggest import nearest

ENDINGS = {".md": "markdown", ".csv": "csv", ".tex": "latex", ".json": "json", ".html": "html"}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    report = command(
        "report",
        "Show the records under a folder: each sweep's table beside the paper's print, failed runs, unusable files.",
        "circpeft report runs/cdvft-1-cpu\n  "
        "circpeft report --format html --output report.html\n  "
        "circpeft report runs --table cdvft-1 --format latex --output table.tex",
    )
    report.add_argument("folder", nargs="?", default="", help="where to look (default: runs/)")
    report.add_argument("--table", default="", metavar="NAME", help="one table (default: every sweep's, or all runs)")
    report.add_argument("--format", default="", metavar="NAME", help="markdown, csv, latex, json or html")
    report.add_argument("--output", default="", metavar="FILE", help="write a file; the format is its ending's")
    report.add_argument("--json", action="store_true", help="the same as --format json")
    for name in ("task", "method", "model", "profile"):
        report.add_argument(f"--{name}", action="append", metavar="NAME", help=f"only this {name}; repeatable")
    report.epilog += "\n\nexit codes: 0 shown, 1 some file there could not be read, 2 wrong usage"


def run_report(options: argparse.Namespace) -> int:
    """The ``report`` command; returns the exit code."""
    from circpeft import report, results

    folder = Path(options.folder) if options.folder else results.ROOT / "runs"
    if not folder.is_dir():
        raise RequestError(f"there is no folder {str(folder)!r}; give one with results/ somewhere in it")
    output = Path(options.output) if options.output else None
    if output and not options.format and not options.json and output.suffix not in ENDINGS:
        raise RequestError(f"no format ends in {output.suffix!r}; {nearest(output.suffix, ENDINGS)}, or give --format")
    chosen = "json" if options.json else options.format or ENDINGS.get(output.suffix if output else "", "markdown")
    if chosen not in report.FORMATS:
        raise RequestError(f"unknown format {chosen!r}; {nearest(chosen, report.FORMATS)}")
    try:
        found = report.scan(folder)
        wanted = {name: getattr(options, name) for name in ("task", "method", "model", "profile")}
        found = report.filtered(found, **{name: value for name, value in wanted.items() if value})
        if chosen == "html" and output is None:
            output = folder / "report.html"
        if output is not None:
            print(report.export(found, options.table or None, chosen, output))
        elif options.table or chosen != "markdown":
            print(report.FORMATS[chosen](found, options.table or None, None), end="")
        else:
            print(_overview(found))
    except ValueError as error:
        raise RequestError(str(error)) from error
    for problem in found.problems:
        print(f"unusable: {problem.path}: {problem.reason}; {problem.remedy}", file=sys.stderr)
    return 1 if found.problems else 0


def _overview(found) -> str:
    """Every sweep's table, or all runs where there was no sweep; then what failed."""
    from circpeft import report

    parts = []
    for sweep in found.sweeps:
        states = [cell.state for cell in sweep.cells]
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        parts.append(f"## {sweep.name}, profile {sweep.profile}, {sweep.statistic} of {sweep.seeds} seeds: {told}\n")
        parts.append(report.FORMATS["markdown"](found, sweep.title, sweep))
    if not found.sweeps:
        nothing = f"no records under {found.folder}"
        parts.append(report.FORMATS["markdown"](found, None, None) if found.runs else nothing)
    parts += [f"failed: {failed.failure.name}: {failed.failure.error}" for failed in found.failures]
    return "\n".join(parts).rstrip()
