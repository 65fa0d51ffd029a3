"""The tables of contents: the site's sections, and those of docs/index.md from its own lists of links."""

import re

from sphinx.application import Sphinx

# The entries in the bar at the top.
SECTIONS = ["Course <docs/site/course>", "Documentation <docs/index>", "API reference <docs/site/api/index>"]
# Pages that docs/index.md does not list one by one.
ADDED = {"Use it": ["/data/*/README"], "What was measured": ["/benchmarks/results/*"]}


def toctree(entries: list[str], caption: str = "") -> str:
    """Return a hidden table of contents in MyST."""
    options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *entries, "```", ""])


def with_contents(text: str) -> str:
    """Return docs/index.md with a table of contents after each of its sections.

    >>> print(with_contents("## Use it\\n\\n- [Other](a.md): text [with](b.md#c)"))
    ## Use it
    <BLANKLINE>
    - [Other](a.md): text [with](b.md#c)
    ```{toctree}
    :hidden:
    :glob:
    :caption: Use it
    <BLANKLINE>
    a
    /data/*/README
    ```
    <BLANKLINE>
    """
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for i, part in enumerate(parts):
        title = re.match(r"## (.*)", part)
        listed = re.findall(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", part, re.MULTILINE)
        if title and listed:
            parts[i] = part + toctree(listed + ADDED.get(title[1], []), title[1])
    return "".join(parts)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the tables of contents to the two pages that have one."""
    if docname == "README":
        source[0] += toctree(SECTIONS)
    elif docname == "docs/index":
        source[0] = with_contents(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
