"""The JupyterLab extensions that show the course's controls and figures."""

import sys
from pathlib import Path

NEEDED = {
    "@jupyter-widgets/jupyterlab-manager": "sliders, menus and buttons",
    "anywidget": "interactive pieces and figures with sliders",
    "jupyterlab-plotly": "plotly figures",
}


def missing(environment: str | None = None) -> dict[str, str]:
    """Return the extensions that an environment lacks, each with what JupyterLab cannot show without it.

    Only the environment's own folder counts: JupyterLab would also search the user's.

    Args:
        environment: folder of the environment; None: that of this Python.
    """
    folder = Path(environment or sys.prefix, "share", "jupyter", "labextensions")
    return {name: shown for name, shown in NEEDED.items() if not (folder / name).is_dir()}
