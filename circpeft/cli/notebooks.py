"""The `course` and `run` commands: run all notebooks, or one of them with parameters."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from circpeft import files
from circpeft.cli.settings import FOLDER_HELP, PROFILE_HELP, unmarked
from circpeft.course import folder
from circpeft.course.parameters import RequestError, check_profile, select
from circpeft.escaping import print_text

if TYPE_CHECKING:
    from circpeft.course.course_run import CourseRun


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands `course` and `run` to a parser."""
    course = add_command(
        "course", "Run the notebooks in order and save the results in a new folder.", "circpeft course 00 02 03"
    )
    course.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="numbers, names or paths of notebooks (default: all)"
    )
    course.add_argument("--profile", default="cpu", metavar="NAME", help=PROFILE_HELP)
    course.add_argument("--folder", metavar="FOLDER", help=FOLDER_HELP)

    run = add_command(
        "run", "Run one notebook with the given parameters.", "circpeft run 08 -p profile smoke -p seeds 3"
    )
    run.add_argument("notebooks", nargs=1, metavar="NOTEBOOK", help="number, name or path of a notebook")
    run.set_defaults(profile=None, folder=None)

    for parser in (course, run):
        parser.add_argument(
            "--resume",
            action="store_true",
            help="resume the newest unfinished run with the same profile, notebooks and parameters",
        )
        parser.add_argument(
            "-p",
            "--parameter",
            nargs=2,
            type=unmarked,
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            help="set a parameter from the notebook's first code cell, also as NAME=VALUE; repeatable",
        )
        parser.add_argument(
            "--output-dir", metavar="FOLDER", help="folder in which to create the run's folder (default: runs/)"
        )
        parser.add_argument(
            "--cell-timeout",
            type=float,
            metavar="SECONDS",
            help="stop a cell that takes longer than this (default: no limit)",
        )
        parser.add_argument("--quiet", action="store_true", help="show no progress bar")
        parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
        parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Run the notebooks and report the result; return 1 if one of them failed.

    Raises: RequestError for an unknown profile or notebook, and whatever else `course.run_course` rejects.
    """
    names = [name for name, _ in options.parameter]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise RequestError(f"parameter {min(repeated)!r} is given twice")
    if options.profile is not None:
        check_profile(options.profile)
    paths, output_dir = select(options.notebooks), options.output_dir
    if output_dir is not None:
        try:
            files.check_writable(files.expanded(output_dir))
        except OSError as error:
            raise RequestError(f"cannot write in --output-dir {output_dir!r}: {error}; choose another folder") from None
    from circpeft.course.runner import run_course  # after the checks: it loads papermill

    with redirect_stdout(sys.stderr if options.json else sys.stdout):  # run_course prints a line per notebook
        if options.command == "course":
            root, done = folder.prepare(options.folder)
            print_text(*done, sep="\n", end="\n" if done else "")
            paths = select(options.notebooks, root / "notebooks")
            output_dir = output_dir or root / "runs"
        run = run_course(
            options.profile,
            paths,
            dict(options.parameter),
            output_dir=output_dir,
            resume=options.resume,
            cell_timeout=options.cell_timeout,
            progress=not options.quiet,
        )
    print_text(json.dumps({"folder": str(run.folder), **run.record}) if options.json else _summary(run))
    return 1 if run.failed else 0


def _summary(run: CourseRun) -> str:
    """Return the text that ends a run: each failed notebook with its cell and error, and the path of the index."""
    lines = []
    for entry in run.failed:
        error = entry["error"]
        place = f"in cell {error['cell']} (In [{error['execution']}])" if error["cell"] else "before its first cell"
        lines.append(f"\n{entry['name']} failed {place}: {error['ename']}: {error['evalue']}")
        lines += [f"    | {line}" for line in error["source"].splitlines()[:5]]
    finished = len(run.record["notebooks"]) - len(run.unfinished)
    lines.append(f"\n{finished} of {len(run.record['notebooks'])} notebooks finished: {run.folder / 'index.html'}")
    if run.unfinished:
        lines.append("Add --resume to the same command to run the others in that folder; finished trainings are kept.")
    return "\n".join(lines)
