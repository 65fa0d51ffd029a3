"""What the `train` and `sweep` commands share: the options of a run, and early checks that need no PyTorch."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from circpeft.course.parameters import PROFILES, RequestError, check_profile
from circpeft.recipes import SETTINGS, TABLES
from circpeft.suggest import nearest

CONSTANTS = {"true": True, "yes": True, "false": False, "no": False, "none": None}
PROFILE_HELP = "; ".join(f"{name}: {meaning}" for name, meaning in PROFILES.items()) + " (default: cpu)"
RUN_EXIT_CODES = "exit codes: 0 every run has a record, 1 a run failed, 2 wrong usage, 130 interrupted"


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that `train` and `sweep` share."""
    parser.epilog += f"\n\n{RUN_EXIT_CODES}"
    parser.add_argument(
        "--profile",
        default="",
        metavar="NAME",
        help=PROFILE_HELP,
    )
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help=f"change a setting of the profile; repeatable. Settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument(
        "--output-dir", default="", metavar="FOLDER", help="folder for the records (default: a folder in runs/)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given with `--set`, with their values read as Python literals.

    Raises: RequestError for an unknown setting, a setting given twice, an unknown profile or an unknown table.
    """
    if options.profile:
        check_profile(options.profile)
    if options.table and not options.table.endswith(".toml") and options.table not in TABLES:
        raise RequestError(f"unknown table {options.table!r}; {nearest(options.table, TABLES)}")
    settings: dict[str, Any] = {}
    for name, text in options.set:
        if name not in SETTINGS:
            raise RequestError(f"unknown setting {name!r}; {nearest(name, SETTINGS)}")
        if name in settings:
            raise RequestError(f"setting {name!r} is given twice")
        settings[name] = _read_value(text)
    return settings


def _read_value(text: str) -> Any:
    """Return the constant or Python literal that a text spells, or the text itself."""
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def hint(command: str, unknown: list[str], options: Iterable[str]) -> str:
    """Return the advice for arguments that a command does not know.

    Args:
        command: the name of the command.
        unknown: the arguments.
        options: the options that the command has, such as "--seed".

    >>> hint("train", ["--epochs", "3"], ["--seed"])
    '; set it with --set epochs VALUE'
    >>> hint("train", ["--sed", "3"], ["--seed", "--set"])
    "; did you mean '--seed'? (see `circpeft train --help`)"
    >>> hint("run", ["more"], ["--quiet"])
    ' (see `circpeft run --help`)'
    """
    if command in ("train", "sweep"):
        names = [argument[2:].partition("=")[0].replace("-", "_") for argument in unknown if argument[:2] == "--"]
        if known := [name for name in names if name in SETTINGS]:
            return f"; set it with --set {known[0]} VALUE"
    given = [argument.partition("=")[0] for argument in unknown if argument[:2] == "--"]
    similar = [match for argument in given for match in get_close_matches(argument, options, n=1)]
    return f"{f'; did you mean {similar[0]!r}?' if similar else ''} (see `circpeft {command} --help`)"
