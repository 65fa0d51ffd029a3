"""The `circpeft` command. Exit codes: 0 all well, 1 a notebook, run or check failed, 2 wrong usage, 130 interrupted."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from circpeft.cli import reports, runs
from circpeft.course.parameters import PROFILES, RequestError, repository
from circpeft.suggest import nearest


def build_parser() -> argparse.ArgumentParser:
    """The parser, with an example for each command."""
    parser = argparse.ArgumentParser(
        prog="circpeft", description="Fine-tune large models with circulant matrices: the course and its workbench."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, example: str) -> argparse.ArgumentParser:
        form = argparse.RawDescriptionHelpFormatter
        epilog = f"example:\n  {example}"
        return commands.add_parser(name, help=text, description=text, epilog=epilog, formatter_class=form)

    doctor = command("doctor", "Check that this machine is ready for the course.", "circpeft doctor")
    doctor.add_argument("--hub", action="store_true", help="also ask the model hub whether it answers")

    course = command("course", "Run the notebooks in order, into a folder of their own.", "circpeft course 00 02 03")
    course.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="numbers, names or paths (default: all)")
    course.add_argument("--profile", default="cpu", metavar="NAME", help=f"{', '.join(PROFILES)} (default: cpu)")
    course.add_argument(
        "--resume", action="store_true", help="go on with the newest unfinished run of the same request"
    )

    run = command("run", "Run one notebook with parameters.", "circpeft run 08 -p profile smoke -p seeds 3")
    run.add_argument("notebooks", nargs=1, metavar="NOTEBOOK", help="its number, name or path")
    run.set_defaults(profile=None, resume=False)

    for each in (course, run):
        each.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                          help="a parameter of the notebook's first code cell; may be repeated")  # fmt: skip
        each.add_argument("--output-dir", metavar="FOLDER", help="where the run's folder is made (default: runs/)")
        each.add_argument("--cell-timeout", type=float, default=3600, metavar="SECONDS",
                          help="the longest that one cell may take (default: 3600)")  # fmt: skip
        each.add_argument("--quiet", action="store_true", help="no progress bar")
        each.add_argument("--json", action="store_true", help="print the end as one line of JSON")

    runs.add(command)
    reports.add(command)

    command("lab", "Open JupyterLab on the first notebook; further options go to JupyterLab.",
            "circpeft lab --port 8890 --no-browser")  # fmt: skip
    parser.commands = list(commands.choices)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see the module)."""
    parser = build_parser()
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and not argv[0].startswith("-") and argv[0] not in parser.commands:
        parser.error(f"unknown command {argv[0]!r}; {nearest(argv[0], parser.commands)}")
    options, rest = parser.parse_known_args(argv)
    if rest and options.command != "lab":
        parser.error(f"unknown arguments: {' '.join(rest)}{runs.hint(options.command, rest)}")
    try:
        if options.command == "doctor":
            from circpeft.course.doctor import print_report

            return 0 if print_report(hub=options.hub) else 1
        if options.command == "lab":
            return _lab(rest)
        if options.command == "train":
            return runs.run_train(options)
        if options.command == "sweep":
            return runs.run_sweep(options)
        if options.command == "report":
            return reports.run_report(options)
        return _run(options)
    except RequestError as error:
        print(f"circpeft {options.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from circpeft.course.runner import run_course

    names = [name for name, _ in options.parameter]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RequestError(f"parameter {min(twice)!r} is given twice")
    with redirect_stdout(sys.stderr if options.json else sys.stdout):  # a line for each notebook
        run = run_course(
            options.profile,
            options.notebooks,
            dict(options.parameter),
            output_dir=options.output_dir,
            resume=options.resume,
            cell_timeout=options.cell_timeout,
            progress=not options.quiet,
        )
    print(json.dumps({"folder": str(run.folder), **run.record}) if options.json else _report(run))
    return 1 if run.failed else 0


def _report(run) -> str:
    """What a run ended with, for the terminal: each failed notebook with its cell and error, and where to look."""
    lines = []
    for entry in run.failed:
        error = entry["error"]
        where = f"cell {error['cell']} (In [{error['execution']}])" if error["cell"] else "before its first cell"
        lines.append(f"\n{entry['name']} failed in {where}: {error['ename']}: {error['evalue']}")
        lines += [f"    | {line}" for line in error["source"].splitlines()[:5]]
    done = len(run.record["notebooks"]) - len(run.unfinished)
    lines.append(f"\n{done} of {len(run.record['notebooks'])} notebooks ran to their end: {run.folder / 'index.html'}")
    return "\n".join(lines)


def _lab(extra: list[str]) -> int:
    """Become JupyterLab, so that Ctrl-C and its question reach JupyterLab alone."""
    root = repository()
    notebook = root / "notebooks" / "00_start.ipynb"
    if not notebook.is_file():
        raise RequestError(f"{notebook} is missing: install from a clone of the repository (`make setup`)")
    # Not as a file argument: that changes the page JupyterLab opens, but not the address it prints.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root)}")
    if os.geteuid() == 0:  # in a container; JupyterLab would only say that this option is needed
        command.append("--allow-root")
    sys.stdout.flush()
    os.execv(sys.executable, [*command, *extra])
