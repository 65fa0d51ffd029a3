"""The course's pages: the notebooks as executed, with figures that need neither a kernel nor a network."""

import html
import json
import re
from datetime import datetime
from pathlib import Path

from sphinx.application import Sphinx

from circpeft.course.notebook_page import WIDGET_TEXT
from circpeft.course.pieces import palette
from circpeft.course.pieces.base import INTERACTIVE
from circpeft.course.runner import ADDED_BY_PAPERMILL

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
MARK = 'class="drawn"'  # what a page with a figure contains
WITHOUT_OUTPUTS = (
    "*This page was built without outputs. To see them, run* `make site` *or open the notebook:* `make lab`."
)
# A name of the package in the text of a notebook. With this role it is a link, if the API reference has it.
NAME = re.compile(r"(?<!`)`(circpeft(?:\.\w+)+)`(?!`)")
CONTROLS = "Interactive controls: open this notebook in JupyterLab (make lab) to use them."


def joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def figure(data: dict) -> str:
    """Return a figure as HTML: its picture, and its data, from which `static/figures.js` draws it again."""
    description = html.escape(joined(data.get("text/plain", "Figure")), quote=True)
    if "image/png" in data:
        code = joined(data["image/png"]).replace("\n", "")
        picture = f'<img alt="{description}" src="data:image/png;base64,{code}">'
    else:
        picture = joined(data.get("text/html", ""))
    content = json.dumps(data[PLOTLY], ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{content}</script>'
    return f'<figure {MARK} aria-label="{description}">{picture}{script}</figure>'


def static_form(data: dict) -> dict:
    """Return the data of an output without what needs a kernel, with figures in a form that the site can show."""
    if INTERACTIVE in data:  # a piece that computes in the browser; its picture is within
        return {"text/html": joined(data[INTERACTIVE])}
    data = {kind: value for kind, value in data.items() if kind not in (WIDGET, "application/javascript")}
    if WIDGET_TEXT.match(joined(data.get("text/plain", ""))):
        data["text/plain"] = CONTROLS
    if PLOTLY in data:
        return {"text/html": figure(data)}
    return data


def described(metadata: dict) -> str:
    """Return the line below a notebook's title: with which profile it was executed, and when."""
    run = metadata.get("papermill", {})
    if "end_time" not in run:
        return WITHOUT_OUTPUTS
    profile = run.get("parameters", {}).get("profile", "cpu")
    return f"*Executed with the profile* `{profile}` *on {datetime.fromisoformat(run['end_time']):%-d %B %Y}.*"


def as_page(notebook: dict) -> dict:
    """Return a notebook for the site: without widgets and the runner's cells, with a line about its execution."""
    notebook["metadata"].pop("widgets", None)
    cells = [c for c in notebook["cells"] if not ADDED_BY_PAPERMILL & {*c["metadata"].get("tags", [])}]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            cell["source"] = NAME.sub(r"{py:obj}`\1`", joined(cell["source"]))
        if cell["metadata"].get("jupyter", {}).get("source_hidden"):
            cell["metadata"].setdefault("tags", []).append("hide-input")
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = static_form(output["data"])
    line = {"cell_type": "markdown", "id": "executed", "metadata": {}, "source": described(notebook["metadata"])}
    return {**notebook, "cells": [*cells[:1], line, *cells[1:]]}


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the text of a notebook by its executed form, if there is one."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    executed = Path(app.config.executed_notebooks or ".", path.name)
    if app.config.executed_notebooks and executed.is_file():
        app.env.note_dependency(str(executed))
        source[0] = executed.read_text(encoding="utf-8")
    source[0] = json.dumps(as_page(json.loads(source[0])))


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Load plotly on pages with figures only; it has 5 MB."""
    if MARK in context.get("body", ""):
        app.add_js_file(None, body=f"const DARK_OF = {json.dumps(palette.dark_of())};")
        app.add_js_file("plotly.min.js", loading_method="defer")
        app.add_js_file("figures.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("executed_notebooks", "", "env", [str])
    app.connect("source-read", read)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
