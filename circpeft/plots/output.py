"""Show a figure in a notebook, in interactive and static form, or save it to a file."""

import base64
import json
from pathlib import Path

from IPython.display import display

from ..escaping import html, plain
from ..files import write_atomically
from .static import SCALE, gif, static

_SUFFIXES = (".png", ".gif", ".html")


class _Bundle:
    """A figure in every form that a viewer of the notebook may need; each viewer takes the best that it can show."""

    def __init__(self, figure, with_static, interactive):
        self.description = description(figure)
        self.data = {"text/plain": self.description}
        if interactive:
            self.data["application/vnd.plotly.v1+json"] = json.loads(figure.to_json())
        if with_static and figure.frames:
            # HTML, because nbconvert does not know image/gif. JupyterLab prefers plotly's type to HTML.
            picture = gif(figure)
            # Bytes 6 and 7 of a GIF are its width. Shown at plotly's size, it is sharp on high-resolution screens.
            width = round(int.from_bytes(picture[6:8], "little") / SCALE)
            alt, code = html(self.description), base64.b64encode(picture).decode()
            self.data["text/html"] = f'<img alt="{alt}" width="{width}" src="data:image/gif;base64,{code}">'
        elif with_static:
            # Plotly's JupyterLab extension shows this PNG, one dot per pixel, until the pointer enters it.
            self.data["image/png"] = base64.b64encode(static(figure, scale=1)).decode()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.data

    def __repr__(self):
        return self.description


def description(figure):
    """Return a figure's alternative text: that of its layout's meta, or else its title, or else its panels' titles.

    Of an animation whose title changes, it has the first and the last title.
    """
    panels = "; ".join(filter(None, (plain(note.text) for note in figure.layout.annotations)))
    title = plain(figure.layout.title.text) or panels or "untitled"
    last = plain(figure.frames[-1].layout.title.text) if figure.frames else ""
    if last and last != title:
        title = f"animation in {len(figure.frames)} frames, from \u201c{title}\u201d to \u201c{last}\u201d"
    return (figure.layout.meta or {}).get("alt") or f"Figure: {title}"


def show(figure, static=True, interactive=True):
    """Display a figure: interactive in JupyterLab, and as a picture in viewers that run no scripts.

    The output has the types `application/vnd.plotly.v1+json` and `image/png`. A figure with frames has a GIF in
    `text/html` instead of the PNG. JupyterLab shows the PNG until the pointer enters it; it shows a figure with frames
    at once, with its buttons. The notebook does not contain plotly.js. The alternative text is the entry "alt" of the
    figure's ``layout.meta``, or else its title, or else the titles of its panels.

    Args:
        static: include the static form. Without it, an executed notebook shows the figure only in JupyterLab.
        interactive: include the interactive form. Without it, an animation plays by itself in JupyterLab as well.
    Raises:
        ValueError: if both are False, or if the figure has a trace without a static form.
    """
    if not (static or interactive):
        raise ValueError("static=False and interactive=False leave nothing to show; set one of them to True")
    display(_Bundle(figure, static, interactive))


def save(figure, path):
    """Save a figure as `.png` (static), `.gif` (animated) or `.html` (interactive, works offline), and return the path.

    Folders are created as needed. If saving fails, an existing file does not change.

    Raises:
        ValueError: for another suffix, or for a `.gif` of a figure without frames.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{path.name!r} has the suffix {suffix!r}; expected one of {', '.join(_SUFFIXES)}")
    if suffix == ".html":
        content = figure.to_html(include_plotlyjs=True, auto_play=False).encode()
    else:
        content = static(figure) if suffix == ".png" else gif(figure)
    return write_atomically(path, content)
