"""What the `train`, `sweep` and `rates` commands share: the options of a run, and early checks that need no PyTorch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from circpeft.course.parameters import PROFILES, RequestError, check_profile
from circpeft.course.type_hints import convert, kinds_of, literal
from circpeft.recipes import SETTING_TYPES, SETTINGS, TABLES, hyperparameter
from circpeft.suggest import nearest

PROFILE_HELP = "; ".join(f"{name}: {meaning}" for name, meaning in PROFILES.items()) + " (default: cpu)"
FOLDER_HELP = "copy the course into FOLDER and use it there (default: circpeft-course; in a clone, the clone itself)"
RUN_EXIT_CODES = "exit codes: 0 every run has a record, 1 a run failed, 2 wrong usage, 130 interrupted"

# Options with a name and a value, and the place of the name after each.
PAIRED = {"-p": 1, "--parameter": 1, "--set": 1, "--override": 2, "--grid": 2}
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)  # NAME=VALUE
# Hyperparameters of methods, not settings of a run.
HYPERPARAMETERS = ("alpha", "block_size", "dropout", "init_weights", "layout", "num_factors", "r")
MARK = "\0"  # argparse takes a value such as -1e-3 for an option, unless something is in front of it


def marked(arguments: Sequence[str], options: Iterable[str]) -> list[str]:
    """Return the arguments with names and values of `PAIRED` options in two words, and `MARK` before negative values.

    After such an option, NAME=VALUE means NAME VALUE. A value that is an option of the command is left as it is: the
    value itself is missing.

    >>> marked(["-p", "shift", "-1e-3", "--quiet"], ["-p", "--quiet"])
    ['-p', 'shift', '\\x00-1e-3', '--quiet']
    >>> marked(["--set", "epochs=1", "--override", "LoRA r=8", "alpha=-2"], ["--set", "--override"])
    ['--set', 'epochs', '1', '--override', 'LoRA r=8', 'alpha', '\\x00-2']
    """
    result = list(arguments)
    place = 0
    while place < len(result):
        option = result[place]
        name = place + PAIRED[option] if option in PAIRED and option in options else len(result)
        if name < len(result) and (both := ASSIGNED.fullmatch(result[name])):
            result[name : name + 1] = both.groups()
        if name + 1 < len(result) and result[name + 1].startswith("-") and result[name + 1] not in options:
            result[name + 1] = MARK + result[name + 1]
        place += 1
    return result


def unmarked(argument: str) -> str:
    """Return a name or value without its `MARK`."""
    return argument.removeprefix(MARK)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that `train`, `sweep` and `rates` share."""
    parser.epilog = f"{parser.epilog}\n\n{RUN_EXIT_CODES}"
    parser.add_argument(
        "--profile",
        default="",
        metavar="NAME",
        help=PROFILE_HELP,
    )
    parser.add_argument(
        "--set",
        nargs=2,
        type=unmarked,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help=f"change a setting of the profile, also as NAME=VALUE; repeatable. Settings: {', '.join(SETTINGS)}",
    )
    parser.add_argument(
        "--output-dir", default="", metavar="FOLDER", help="folder for the records (default: a folder in runs/)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the options that change single rows: `--override` and `--grid`."""
    of_row = "a hyperparameter or setting of one row (its printed name, or its method in a TOML file; all: every row)"
    parser.add_argument(
        "--override",
        nargs=3,
        type=unmarked,
        action="append",
        default=[],
        metavar=("ROW", "NAME", "VALUE"),
        help=f"set {of_row}; repeatable",
    )
    parser.add_argument(
        "--grid",
        nargs=3,
        type=unmarked,
        action="append",
        default=[],
        metavar=("ROW", "NAME", "VALUES"),
        help="try several values with the first seed, such as 1e-4,3e-4,1e-3, and keep the best on validation",
    )


def read_overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what `--override` and `--grid` give, as `recipes.overrides` has it.

    Raises: RequestError for a name that a row is given twice.
    """
    overrides: dict[str, dict[str, Any]] = {}
    given = [(*entry, False) for entry in options.override] + [(*entry, True) for entry in options.grid]
    for row, name, text, is_grid in given:
        of_row = overrides.setdefault(row, {})
        if name in of_row:
            raise RequestError(f"{name} of row {row!r} is given twice; keep one --override or --grid")
        values = [_read_override(name, part.strip()) for part in (text.split(",") if is_grid else [text])]
        of_row[name] = values if is_grid else values[0]
    return overrides


def _read_override(name: str, text: str) -> Any:
    return _read_value(name, text) if name in SETTINGS else hyperparameter(text)


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given with `--set`, with values of the types that the settings have.

    Raises: RequestError for an unknown setting, a setting given twice, an unknown profile or an unknown table.
    """
    if options.profile:
        check_profile(options.profile)
    if options.table and not options.table.endswith(".toml") and options.table not in TABLES:
        raise RequestError(f"unknown table {options.table!r}; {nearest(options.table, TABLES)}")
    settings: dict[str, Any] = {}
    for name, text in options.set:
        if name not in SETTINGS:
            raise RequestError(f"unknown setting {name!r}; {_instead(name)}")
        if name in settings:
            raise RequestError(f"setting {name!r} is given twice")
        settings[name] = _read_value(name, text)
    return settings


def _instead(name: str) -> str:
    """Return what to write instead of a setting that does not exist."""
    if name in HYPERPARAMETERS:
        return f"it is a hyperparameter of the method: write it after the method's name, as in c3a:{name}=VALUE"
    return nearest(name, SETTINGS)


def _read_value(name: str, text: str) -> Any:
    """Return the value of a setting that a text spells. One that does not fit the setting is refused by the recipe."""
    try:
        return convert(text, kinds_of(SETTING_TYPES[name]))
    except ValueError:
        return literal(text)


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
    if command in ("train", "sweep", "rates"):
        names = [argument[2:].partition("=")[0].replace("-", "_") for argument in unknown if argument[:2] == "--"]
        if known := [name for name in names if name in SETTINGS]:
            return f"; set it with --set {known[0]} VALUE"
    given = [argument.partition("=")[0] for argument in unknown if argument[:2] == "--"]
    similar = [match for argument in given for match in get_close_matches(argument, options, n=1)]
    return f"{f'; did you mean {similar[0]!r}?' if similar else ''} (see `circpeft {command} --help`)"
