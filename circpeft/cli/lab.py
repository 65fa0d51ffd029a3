"""The `lab` command: open JupyterLab on the first notebook."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from circpeft.cli.programs import replace_by
from circpeft.cli.settings import FOLDER_HELP
from circpeft.course import folder, lab_extensions
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text

# Its defaults hold for this start only, and the user's own settings of JupyterLab override them: JupyterLab asks no
# question about news, and looks for no update.
CONFIG = Path(__file__).with_name("jupyter")
USUAL_PORT = 8888  # of JupyterLab, which takes the next free one if it is taken


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "lab",
        "Open JupyterLab on the first notebook.",
        "circpeft lab --port 8890 --no-browser",
        "It ignores your configuration of Jupyter servers: it listens on this machine only, with a token. "
        "All other arguments (such as --ip, --config FILE) are passed on to JupyterLab.",
    )
    parser.usage = "circpeft lab [-h] [--folder FOLDER] [JUPYTERLAB ARGUMENT ...]"
    parser.add_argument("--folder", metavar="FOLDER", help=FOLDER_HELP)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and the question it asks reach JupyterLab only.

    Raises: RequestError if the notebooks cannot be copied, or if another program uses the port; ModuleNotFoundError
    without JupyterLab.
    """
    if find_spec("jupyterlab") is None:  # before anything is copied
        raise ModuleNotFoundError("No module named 'jupyterlab'", name="jupyterlab")
    _check_port(options.unparsed)
    for name, shown in lab_extensions.missing().items():
        print_text(
            f"JupyterLab lacks {name}: {shown} do not work; `circpeft doctor` names what to install.", file=sys.stderr
        )
    root, done = folder.prepare(options.folder)
    print_text(*done, sep="\n", end="\n" if done else "")
    notebook = root / "notebooks" / "00_start.ipynb"
    if not notebook.is_file():
        raise RequestError(f"{notebook} is missing; restore it with: git checkout -- notebooks")
    # The notebook is not a file argument: JupyterLab would open it, but not print its address.
    command = [sys.executable, "-m", "circpeft.cli.lab_server", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root)}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # root, as in a container: JupyterLab wants this option
        command.append("--allow-root")
    folders = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))
    return replace_by([*command, *options.unparsed])


def _check_port(arguments: Sequence[str]) -> None:
    """Raise RequestError if the named port is taken; without a name, print a line if the usual one is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", "--ServerApp.port", nargs="?", default="", const="")
    named = parser.parse_known_args(list(arguments))[0].port
    if named.isdecimal() and int(named) < 65_536 and _is_taken(int(named)):
        free = next(port for port in range(int(named) + 1, 65_536) if not _is_taken(port))
        raise RequestError(
            f"port {named} is taken, perhaps by another JupyterLab (`jupyter server list` shows them); stop it, or "
            f"choose another port: circpeft lab --port {free}"
        )
    if not named and _is_taken(USUAL_PORT):
        line = f"Port {USUAL_PORT} is taken, so JupyterLab takes the next free one: open the address that it prints."
        print_text(line, file=sys.stderr)


def _is_taken(port: int) -> bool:
    with socket.socket() as server:
        # As JupyterLab does. Without it, the port of a server that has just ended looks taken.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
