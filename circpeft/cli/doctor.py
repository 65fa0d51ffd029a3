"""The `doctor` command: check that this machine is ready for the course."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command("doctor", "Check that this machine is ready for the course.", "circpeft doctor")
    parser.add_argument("--hub", action="store_true", help="also check that the model hub can be reached")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the report; return 1 if a check failed."""
    from circpeft.course.doctor import print_report

    return 0 if print_report(hub=options.hub) else 1
