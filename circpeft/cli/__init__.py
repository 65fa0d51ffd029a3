"""The `circpeft` command.

Exit codes: 0 success; 1 a notebook, run or check failed; 2 wrong usage; 130 interrupted by Ctrl-C, 143 by SIGTERM.
`circpeft exec` has the exit code of the program that it runs.

The parser imports only light modules, so that `--help` and the errors about wrong arguments appear at once. A command
imports PyTorch and whatever else it needs when it runs.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from textwrap import fill
from typing import Any, NoReturn

from circpeft.cli import (
    completion,
    doctor,
    exec_command,
    export,
    extras,
    interruption,
    lab,
    list_command,
    merge,
    notebooks,
    predict,
    rates,
    report,
    sweep,
    train,
)
from circpeft.cli.settings import hint, marked
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text, terminal
from circpeft.files import WriteError
from circpeft.suggest import nearest

FORMAT_WARNING = warnings.formatwarning
EXIT_CODES = "exit codes: 0 success, 1 a notebook, run or check failed, 2 wrong usage, 130 or 143 interrupted"


def version() -> str:
    """Return the version of the package."""
    return import_module("circpeft").__version__


class Parser(argparse.ArgumentParser):
    """The parser of the command, or of one of its commands. `commands` are the parsers of the commands by name."""

    commands: dict[str, "Parser"]

    def error(self, message: str) -> NoReturn:
        """Print the usage and an error, which may hold the name of any file, and exit with code 2."""
        super().error(terminal(message))


def build_parser() -> Parser:
    """Return the parser. Its `commands` are the parsers of the commands by name."""
    parser = Parser(
        prog="circpeft",
        description="Fine-tune large models with circulant matrices (C3A and CDVFT): follow the\n"
        "course, train, compare methods, and show the results.",
        epilog=f"`circpeft COMMAND --help` shows the options of a command.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"circpeft {version()}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add_command(name: str, summary: str, examples: str, details: str = "") -> argparse.ArgumentParser:
        return subparsers.add_parser(
            name,
            help=summary,
            description=fill(f"{summary} {details}", width=80),
            epilog=f"example:\n  {examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    for module in (
        doctor,
        notebooks,
        list_command,
        rates,
        train,
        sweep,
        report,
        predict,
        merge,
        export,
        exec_command,
        completion,
        lab,
    ):
        module.add(add_command)
    parser.commands = subparsers.choices
    parser.commands["completion"].set_defaults(parser=parser)  # its script is about all of them
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the arguments after `circpeft`; by default those of this process.

    Raises: SystemExit with code 2 for arguments that the parser rejects, and with code 0 after `--help`.
    """
    warnings.formatwarning = _format_warning
    parser = build_parser()
    given = argv is not None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and not argv[0].startswith("-") and argv[0] not in parser.commands:
        parser.error(f"unknown command {argv[0]!r}; {nearest(argv[0], parser.commands)}")
    known = _options_of(parser.commands[argv[0]]) if argv and argv[0] in parser.commands else []
    if argv[:1] == ["exec"] and argv[1:2] not in (["-h"], ["--help"]):
        # Not through the parser: it would take a program's `--` or `-m` for its own.
        options, options.unparsed = parser.parse_args(argv[:1]), argv[1:]
    else:
        options, options.unparsed = parser.parse_known_args(marked(argv, known))
    if options.unparsed and options.command not in ("exec", "lab"):
        arguments = " ".join(options.unparsed)
        advice = hint(options.command, options.unparsed, known)
        parser.commands[options.command].error(f"unknown arguments: {arguments}{advice}")
    try:
        with interruption.handled(options.command, restored=given):
            return options.execute(options)
    except RequestError as error:
        print_text(f"circpeft {options.command}: error: {_one_line(error)}", file=sys.stderr)
        return 1 if isinstance(error.__cause__, WriteError) else 2
    except WriteError as error:  # a disk that is full or read-only: whatever was begun is not there
        print_text(f"circpeft {options.command}: error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (text := extras.advice(error, options)) is None:
            raise
        print_text(f"circpeft {options.command}: error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        return interruption.exit_code(options.command, error)


def _one_line(error: Exception) -> str:
    """Return the text of an error in one line; those of other libraries may have several."""
    return " ".join(line.strip() for line in str(error).splitlines())


def _format_warning(message: Any, category: Any, filename: str, lineno: int, line: str | None = None) -> str:
    """Return a warning as Python writes it, for the terminal; it may hold texts of data."""
    return terminal(FORMAT_WARNING(message, category, filename, lineno, line))


def _options_of(command: argparse.ArgumentParser) -> list[str]:
    """Return the options of a command, such as "-p" and "--parameter"."""
    return re.findall(r"(?<![\w-])--?[a-z][a-z-]*", command.format_help())
