"""The `doctor` command: check that this machine is ready for the course."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version

from circpeft.escaping import json_text, print_text


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "doctor", "Check that this machine is ready for the course.", "circpeft doctor\n  circpeft doctor --json"
    )
    parser.add_argument("--hub", action="store_true", help="also check that the model hub can be reached")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line, for a bug report")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the report; return 1 if a check failed."""
    from circpeft.course import doctor

    if not options.json:
        return 0 if doctor.print_report(hub=options.hub) else 1
    system = doctor.Check("INFO", f"circpeft {version('circpeft')} on {platform.platform()}")
    found = [system, *doctor.checks(hub=options.hub)]
    for check in found:
        print_text(json_text(asdict(check)))
    return int(any(check.status == "FAIL" for check in found))
