"""Executed notebooks as HTML pages that need neither scripts nor a network."""

import re
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters import markdown_mistune

from circpeft import escaping, places
from circpeft.files import write_atomically

from .mathml import formula, formulas

# The text form of widgets, of ipywidgets and of the course's `controls`, for readers who cannot show them.
WIDGET_TEXT = re.compile(r"[HV]Box\(children=|Interactive controls: ")
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}POLICY{%- endblock -%}
{%- block html_head_js_mathjax -%}
<style>
math { font-size: 1.1em; } math[display=block] { margin: .6em 0; }
msub > :not(:first-child), msup > :not(:first-child), msubsup > :not(:first-child) { font-size: .72em; }
mtd[columnalign=right] { text-align: right; padding-right: 0; }
mtd[columnalign=left] { text-align: left; padding-left: 0; }
</style>
{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png -%}
{%- set alt = '<img alt="' ~ (output.data.get("text/plain", "") | escape_html) ~ '" ' -%}
{{ super() | replace("<img ", alt, 1) }}
{%- endblock -%}
{%- block data_latex -%}
<div class="jp-OutputArea-output">{{ output.data['text/latex'] | formulas }}</div>
{%- endblock -%}
"""


def address(url: str) -> str:
    """Return where a link of a notebook leads from its page: to the page beside it, or to a file of the repository.

    >>> address("02_c3a.ipynb#idea")
    '02_c3a.html#idea'
    """
    if url.startswith("../"):  # the page is in a run's folder, which may be anywhere
        path, mark, anchor = url.removeprefix("../").partition("#")
        root = places.PACKAGE.parent if path.startswith("circpeft/") else places.shipped()
        return (root / path).as_uri() + mark + anchor
    return re.sub(r"^([^/:#]+)\.ipynb(?=#|$)", r"\1.html", url)  # pages are side by side, as the notebooks are


class MathRenderer(markdown_mistune.IPythonRenderer):
    """Renders Markdown with formulas as MathML. Jupyter's own renderer leaves LaTeX that needs a script."""

    def block_math(self, body: str) -> str:
        return formula(body, block=True)

    def inline_math(self, body: str) -> str:
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, address(url), title)

    def block_html(self, html: str) -> str:
        return formulas(super().block_html(html))


def write_page(notebook: Path, target: Path) -> Path:
    """Write an executed notebook as one HTML file without scripts, and return its path.

    Static forms replace interactive outputs; a line of text replaces widgets that have no static form. The text form of
    a picture is its alternative text. The page lets no script run, so that markup which reached an output by mistake
    does nothing.
    """
    nb = nbformat.read(notebook, as_version=4)
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/javascript", None)
            widget = data.pop("application/vnd.jupyter.widget-view+json", None)
            if widget and WIDGET_TEXT.match(data.get("text/plain", "")):
                data["text/plain"] = "Interactive controls: open this notebook in JupyterLab (circpeft lab)."
    exporter = HTMLExporter(raw_template=TEMPLATE.replace("POLICY", escaping.page_policy()))
    exporter.register_filter("formulas", formulas)
    to_html = markdown_mistune.MarkdownWithMath(renderer=MathRenderer(escape=False)).render
    exporter.register_filter("markdown2html", to_html)
    write_atomically(target, exporter.from_notebook_node(nb, {"metadata": {"name": notebook.stem}})[0])
    return target
