"""The `lab` command: open JupyterLab on the first notebook."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from circpeft.course.parameters import RequestError, repository


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "lab",
        "Open JupyterLab on the first notebook.",
        "circpeft lab --port 8890 --no-browser",
        "All other arguments are passed on to JupyterLab.",
    )
    parser.usage = "circpeft lab [-h] [JUPYTERLAB ARGUMENT ...]"
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and the question it asks reach JupyterLab only.

    Raises: RequestError if the notebooks are not installed.
    """
    root = repository()
    notebook = root / "notebooks" / "00_start.ipynb"
    if not notebook.is_file():
        raise RequestError(f"{notebook} is missing; install circpeft from a clone of the repository (`make setup`)")
    # The notebook is not a file argument: JupyterLab would open it, but not print its address.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root)}")
    if os.geteuid() == 0:  # root, as in a container: JupyterLab refuses to start without this option
        command.append("--allow-root")
    sys.stdout.flush()
    os.execv(sys.executable, [*command, *options.unparsed])
