"""The `lab` command: open JupyterLab on the first notebook."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec

from circpeft.cli.settings import FOLDER_HELP
from circpeft.course import folder
from circpeft.course.parameters import RequestError


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "lab",
        "Open JupyterLab on the first notebook.",
        "circpeft lab --port 8890 --no-browser",
        "All other arguments are passed on to JupyterLab.",
    )
    parser.usage = "circpeft lab [-h] [--folder FOLDER] [JUPYTERLAB ARGUMENT ...]"
    parser.add_argument("--folder", metavar="FOLDER", help=FOLDER_HELP)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and the question it asks reach JupyterLab only.

    Raises: RequestError if the notebooks cannot be copied; ModuleNotFoundError without JupyterLab.
    """
    if find_spec("jupyterlab") is None:  # before anything is copied
        raise ModuleNotFoundError("No module named 'jupyterlab'", name="jupyterlab")
    root, done = folder.prepare(options.folder)
    print(*done, sep="\n", end="\n" if done else "")
    notebook = root / "notebooks" / "00_start.ipynb"
    if not notebook.is_file():
        raise RequestError(f"{notebook} is missing; restore it with: git checkout -- notebooks")
    # The notebook is not a file argument: JupyterLab would open it, but not print its address.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root)}")
    if os.geteuid() == 0:  # root, as in a container: JupyterLab refuses to start without this option
        command.append("--allow-root")
    sys.stdout.flush()
    os.execv(sys.executable, [*command, *options.unparsed])
