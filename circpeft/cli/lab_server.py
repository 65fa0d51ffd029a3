"""JupyterLab without the user's configuration of Jupyter servers, for the `lab` command.

A configuration may open a server to a network, or take its token away. The course's server listens on this machine
only and has a new token, unless its own command line says otherwise.
"""

from __future__ import annotations

import os
from typing import Any

from jupyter_core.application import JupyterApp
from jupyterlab.labapp import LabApp
from traitlets.config import Application

# Variables from which a server takes what its command line should say.
VARIABLES = ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS")


def load_named_config(self: Any, suppress_errors: bool = True) -> None:
    """Read the configuration file that the command line names (``--config``), and no other.

    Raises: ConfigFileNotFound if it does not exist.
    """
    if self.config_file:
        folder, name = os.path.split(os.path.abspath(self.config_file))
        Application.load_config_file(self, name, path=folder)


def main() -> None:
    """Start JupyterLab with the arguments of this process."""
    ignore_user_config()
    LabApp.launch_instance()


def ignore_user_config() -> None:
    """Let Jupyter's programs in this process, and their extensions, read no configuration file by themselves.

    Which extensions are enabled, and the settings of JupyterLab's menus, are in files of their own, which are read.
    """
    JupyterApp.load_config_file = load_named_config
    for name in VARIABLES:
        os.environ.pop(name, None)


if __name__ == "__main__":
    main()
