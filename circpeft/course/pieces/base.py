"""What all pieces share: the script with its data and colours, the alternative text, and the static form."""

from __future__ import annotations

import base64
import html
import json
from typing import ClassVar

import anywidget
import plotly.graph_objects as go
import traitlets

from ...plots.static import static
from . import bundle
from .palette import PALETTE

# The interactive form for pages without a kernel, beside the static one. Jupyter ignores types that it does not know.
INTERACTIVE = "application/vnd.circpeft.piece+html"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,"></head><body>{body}</body></html>
"""
# A piece without a kernel: its values are here, and nobody listens to their changes.
_ALONE = """
const values = {values};
const model = {{ get: (name) => values[name], set: (name, value) => {{ values[name] = value; }},
  save_changes() {{}}, on() {{}}, off() {{}} }};
const el = document.getElementById({id});
el.replaceChildren();
render({{ model, el }});
"""


class Piece(anywidget.AnyWidget):
    """A small interactive picture. Its script draws and computes in the browser, so it answers without the kernel.

    A subclass names its script in the folder js, and draws the static form from the same numbers. The script's
    ``render({ model, el })`` reads ``model.get(name)`` for each of the traits below.

    The alternative text has one wording, ``sentences``, with the names of readings in braces. The script's function
    ``readings`` fills it after each change, and the method `readings` fills it for the static form.

    Args:
        data: numbers that the script needs and that Python computes; only what JSON can hold.
        state: what the controls are set to at the start. The browser writes here what the learner sets, and the
            picture follows what Python writes.

    >>> from circpeft.course import pieces
    >>> lab = pieces.KernelLab([0.0, 1.0, 0.0, 0.0])
    >>> lab.state["kernel"], sorted(lab.palette)
    ([0.0, 1.0, 0.0, 0.0], ['dark', 'light'])
    """

    script: ClassVar[str]  # the name of the script, without .js
    title: ClassVar[str]
    sentences: ClassVar[str]  # what the pictures show, for readers who cannot see them

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    palette = traitlets.Dict().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    def __init__(self, data: dict, state: dict):
        super().__init__(
            data=data,
            state=state,
            palette=PALETTE,
            description=self.sentences,
            _esm=bundle.module(self.script),
            _css=bundle.style(),
        )

    def readings(self) -> dict[str, str | int]:
        """Return what stands in place of the names in `sentences`, for what `figure` draws now."""
        raise NotImplementedError(f"{type(self).__name__} has no readings(); the alternative text needs them")

    @property
    def alt(self) -> str:
        """Return the alternative text of the static form."""
        return self.sentences.format(**self.readings())

    def figure(self) -> go.Figure:
        """Draw the piece as it is now, as a plotly figure that has a static form."""
        raise NotImplementedError(f"{type(self).__name__} has no figure(); every piece needs a static form")

    def picture(self) -> str:
        """Return the static form as an HTML image with the alternative text."""
        png = static(self.figure(), scale=1.5)
        # Bytes 16 to 19 of a PNG are its width. Shown at plotly's size, it is sharp on high-resolution screens.
        width = round(int.from_bytes(png[16:20], "big") / 1.5)
        source = base64.b64encode(png).decode()
        return f'<img alt="{html.escape(self.alt, quote=True)}" width="{width}" src="data:image/png;base64,{source}">'

    def interactive(self, static_form: str = "") -> str:
        """Return the piece as HTML that works without a kernel and without a network.

        Args:
            static_form: HTML to show where scripts are switched off.
        """
        name = f"piece-{self.script}-{self.model_id}"
        values = {key: getattr(self, key) for key in ("data", "state", "palette", "description")}
        text = json.dumps(values).replace("<", "\\u003c")  # so that no text can end the script
        script = bundle.code(self.script) + _ALONE.format(values=text, id=json.dumps(name))
        return (
            f"<style>{bundle.style()}</style>\n"
            f'<div id="{name}">{static_form}</div>\n<script type="module">\n{script}</script>'
        )

    def page(self) -> str:
        """Return the piece as a complete HTML page."""
        return _PAGE.format(title=html.escape(self.title), body=self.interactive())

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        bundled, metadata = super()._repr_mimebundle_(**kwargs)
        picture = self.picture()
        return {
            **bundled,
            "text/plain": f"{self.title}: {self.alt}",
            "text/html": picture,
            INTERACTIVE: self.interactive(picture),
        }, metadata
