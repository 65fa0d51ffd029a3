"""Formulas as MathML, as on the pages of a course run: browsers show it without scripts, and nothing is downloaded."""

from html import escape

from docutils import nodes
from sphinx.application import Sphinx

from circpeft.course.mathml import formula, formulas


def inline(translator, node: nodes.math) -> None:
    translator.body.append(formula(node.astext()))
    raise nodes.SkipNode


def block(translator, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({escape(str(node["number"]))})</span>' if node.get("number") else ""
    translator.body.append(f'<div class="math">{formula(node.astext(), block=True)}{number}</div>\n')
    raise nodes.SkipNode


def in_html(app: Sphinx, doctree: nodes.document) -> None:
    """Convert the formulas within HTML that a page has written itself, such as the summary of a hint."""
    for node in doctree.findall(nodes.raw):
        if node.get("format") == "html" and "$" in node.astext() and "<script" not in node.astext():
            node.children = [nodes.Text(formulas(node.astext()))]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    app.connect("doctree-read", in_html)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
