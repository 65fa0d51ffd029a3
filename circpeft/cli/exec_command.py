"""The `exec` command: run a Python program in which PEFT knows C3A and CDVFT."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from circpeft.cli.programs import ProgramError, python_arguments, replace_by
from circpeft.escaping import print_text

STARTUP = Path(__file__).with_name("startup")


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "exec",
        "Run a Python program that loads an adapter of C3A or CDVFT.",
        "circpeft exec lm_eval --model hf --model_args pretrained=MODEL,peft=ADAPTER --tasks TASK\n  "
        "circpeft exec accelerate launch train.py --epochs 3\n  "
        "circpeft exec evaluate.py ADAPTER",
        "The program runs unchanged, except that circpeft is imported first, so that PEFT does not raise "
        "KeyError: 'CIRCONV' or 'CDVFT'. This includes every Python process that the program starts: the folder "
        "circpeft/cli/startup comes first in PYTHONPATH, and Python runs its sitecustomize.py at startup.",
    )
    parser.usage = "circpeft exec [-h] {COMMAND | FILE.py | -m MODULE} [ARGUMENT ...]"
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="COMMAND [ARGUMENT ...]",
        help="a console script of this environment or on PATH, `python`, or the path of a Python file; everything "
        "after it is passed on, including --help",
    )
    parser.add_argument("-m", nargs=argparse.REMAINDER, help="run a module with its arguments, like python -m")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Replace this process by the program, so that signals, tracebacks and the exit code are the program's own.

    Returns: the exit code of a shell for a command that cannot be run, after a message: 127 not found, 126 not a Python
    program, 2 wrong usage. It does not return if the program can be run.
    """
    try:
        arguments = python_arguments(options.unparsed)
        os.environ["PYTHONPATH"] = python_path(os.environ.get("PYTHONPATH"))
    except ProgramError as error:
        print_text(f"circpeft exec: error: {error}", file=sys.stderr)
        return error.exit_code
    return replace_by([sys.executable, *arguments])


def python_path(existing: str | None) -> str:
    """Return PYTHONPATH with the startup folder first.

    In a clone that is not installed, `python -m circpeft` finds the package in the working directory. Its folder is
    then appended, because the program may run elsewhere.

    Raises: ProgramError if PYTHONPATH cannot name the startup folder.

    >>> python_path("/opt/lib").split(":")[1]
    '/opt/lib'
    """
    if os.pathsep in str(STARTUP):
        raise ProgramError(
            f"PYTHONPATH cannot name a folder with {os.pathsep!r}: {STARTUP}; install circpeft elsewhere"
        )
    root = str(STARTUP.parents[2])
    entries = [entry for entry in existing.split(os.pathsep) if entry != str(STARTUP)] if existing else []
    return os.pathsep.join([str(STARTUP), *entries, *([root] if sys.path[0] == root else [])])
