"""Texts that would run, link or move the cursor, and checks that nothing of them is live in what was written."""

import csv
import io
import re
from typing import Any

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

# Begins as a formula of a spreadsheet; then tags, links, Markdown, formulas, ends of elements, and control characters.
TEXT = (
    '=HYPERLINK("http://planted.example","planted")|</script></style></textarea></title>--><script>planted()</script>'
    "<img src=x onerror=planted()>"
    '<a href="javascript:planted()">x</a><b>bold</b> **planted** [x](http://planted.example) `planted` '
    "$\\href{javascript:planted()}{x}$ %{planted} &lt;u&gt; http://planted.example www.planted.example"
    "\x1b[2J\x1b]8;;http://planted.example\x07x\x1b]8;;\x07\r\b\x9b31m\u202edetnalp\u2066\u2028"
    "\n# planted\n- planted\tx"
)
# A file's name has no slash and at most 255 bytes.
FILE_NAME = "<img src=x onerror=planted()>=1|**planted** $x$\x1b[2J\x07\r\n\u202e"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
FORMULA = re.compile(r"\s*[=+\-@\t\r]")
ADDRESSES = {"href", "src", "action", "formaction", "data", "xlink:href", "srcset", "poster"}
FOREIGN = {"a", "b", "img", "script", "h1", "li", "strong", "em", "code", "u", "textarea"}


def check_terminal(text: str) -> None:
    """Assert that a text has no control characters except line ends and tabs."""
    assert not CONTROL.search(text), repr(CONTROL.search(text)) + repr(text[:200])


def check_html(page: str, shown: bool = True) -> None:
    """Assert that nothing planted is an element, an attribute that acts, or a raw control character.

    Args:
        page: HTML, of a page or a part of one.
        shown: whether a planted text has to be readable in it.
    """
    soup = BeautifulSoup(page, "html.parser")
    for element in soup.find_all(True):
        for name, value in element.attrs.items():
            acts = name.lower().startswith("on") or name.lower() in ADDRESSES
            encoded = not re.search(r"[^\w%./#-]", str(value))  # the address of a page that is beside this one
            assert not (acts and "planted" in str(value)) or encoded, element
        assert element.name not in ("script", "style") or "planted" not in str(element.string), element
    assert not [b for b in soup.find_all("b") if b.get_text() == "bold"] and not soup.find_all(["u", "textarea"])
    check_terminal(page)
    assert not shown or "planted" in soup.get_text()


def check_markdown(text: str) -> None:
    """Assert that a planted text in Markdown is text: no element, no link, and one cell of its table's row."""
    page = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(text)
    check_html(page)
    soup = BeautifulSoup(page, "html.parser")
    for name in FOREIGN - {"h1", "li"}:
        assert not [found for found in soup.find_all(name) if "planted" in found.get_text()], name
    assert not [found for found in soup.find_all(["h1", "li"]) if found.get_text().startswith("planted")]
    for table in soup.find_all("table"):
        assert len({len(row.find_all(["th", "td"])) for row in table.find_all("tr")}) == 1
    assert not re.search(r"(?i)https?:|www\.", text)


def check_csv(text: str) -> None:
    """Assert that no cell is computed by a spreadsheet, and that none has control characters."""
    check_terminal(text)
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert not FORMULA.match(cell) or _is_number(cell), cell[:80]


def _is_number(text: str) -> bool:
    try:
        return bool(float(text)) or True
    except ValueError:
        return False


def check_figure(figure: Any) -> None:
    """Assert that no planted text of a plotly figure holds a tag, a formula or a control character."""
    for text in _texts(figure.to_plotly_json()):
        if "planted" in text:
            assert not re.search(r"<[A-Za-z/!]|\$", text) and not CONTROL.search(text), text


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for part in parts for text in _texts(part)]
