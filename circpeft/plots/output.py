"""Where figures go: into a notebook, with a static form beside the interactive one, or into a file."""

import base64
import html
import json
import re
from pathlib import Path

from IPython.display import display

from ..files import write_atomically
from .static import SCALE, gif, static

_SUFFIXES = (".png", ".gif", ".html")


class _Bundle:
    """One figure in all the forms that a reader of the notebook may ask for, best first in each reader."""

    def __init__(self, figure, with_static, interactive):
        title = re.sub(r"<[^>]+>", " ", figure.layout.title.text or "untitled").strip()
        self.words = f"Figure: {title}"
        self.data = {"text/plain": self.words}
        if interactive:
            self.data["application/vnd.plotly.v1+json"] = json.loads(figure.to_json())
        if with_static and figure.frames:
            # HTML, because nbconvert has no image/gif. JupyterLab ranks plotly's type (2) before HTML (50).
            picture = gif(figure)
            # Bytes 6 and 7 of a GIF are its width; shown at plotly's size it is sharp on dense screens.
            width = round(int.from_bytes(picture[6:8], "little") / SCALE)
            alt, code = html.escape(self.words, quote=True), base64.b64encode(picture).decode()
            self.data["text/html"] = f'<img alt="{alt}" width="{width}" src="data:image/gif;base64,{code}">'
        elif with_static:
            # Plotly's JupyterLab extension shows this PNG, dot for dot, until the pointer enters it.
            self.data["image/png"] = base64.b64encode(static(figure, scale=1)).decode()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.data

    def __repr__(self):
        return self.words


def show(figure, static=True, interactive=True):
    """Display a figure: interactive in JupyterLab, as a picture where nothing can run.

    One display with `application/vnd.plotly.v1+json` and `image/png`; a figure with frames has a GIF that plays by
    itself, in `text/html`, instead of the PNG. JupyterLab shows the PNG until the pointer enters it, and a figure with
    frames at once with its buttons. No plotly.js is put into the notebook.

    Args:
        static: with the static form; without it, an executed notebook shows the figure only in JupyterLab.
        interactive: with the interactive form; without it, an animation plays by itself in JupyterLab too.
    Raises:
        ValueError: if both are False, or if the figure has a trace without a static form.
    """
    if not (static or interactive):
        raise ValueError("static=False and interactive=False leave nothing to show; set one of them to True")
    display(_Bundle(figure, static, interactive))


def save(figure, path):
    """Write a figure whole or not at all: `.png` (static), `.gif` (moving) or `.html` (interactive, works offline).

    Folders are made as needed. Returns the path.

    Raises:
        ValueError: for another suffix, or a `.gif` of a figure without frames.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{path.name!r} ends in {suffix!r}; expected one of {', '.join(_SUFFIXES)}")
    if suffix == ".html":
        content = figure.to_html(include_plotlyjs=True, auto_play=False).encode()
    else:
        content = static(figure) if suffix == ".png" else gif(figure)
    return write_atomically(path, content)
