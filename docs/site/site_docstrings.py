"""Docstrings as reStructuredText: the package writes ``Args:``, ``Raises:`` and lists in plain text."""

import re

from sphinx.application import Sphinx


def prepare(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Give doctests a blank line before them, and sections that stand on one line a bold title."""
    text = "\n".join(lines)
    text = re.sub(r"^(Raises|Shapes|Source|Formula|Formulas|Note): (?=\S)", r"**\1:** ", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=\S)\n(?=>>> )(?<!\n>>> )", "\n\n", text) if "\n\n>>> " not in text else text
    lines[:] = text.split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
