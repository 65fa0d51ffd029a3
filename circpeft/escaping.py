"""Text from data, records and users, escaped at every way out: terminal, HTML, plotly, Markdown, CSV, LaTeX and JSON.

Data stays data: whatever a question, a label, a file name or an error text holds, it is shown as it is written, and
neither runs nor moves the cursor. In all forms, control characters and those that reorder text are written out, as in
``\\u001b``.
"""

from __future__ import annotations

import html as standard
import json
import math
import re
from numbers import Number
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from pandas import DataFrame
    from pandas.io.formats.style import Styler

# Control characters, separators of lines, overrides of the direction of text, and halves of characters.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FORMULA = re.compile(r"\s*[=+\-@\t\r＝＋－＠]")  # how a cell begins that a spreadsheet computes
LONGEST_NAME = 60  # characters of a name in a legend
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {character: f"\\{character}" for character in "&%$#_{}"} | {"±": r"$\pm$", "|": r"$\mid$"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}
# Markup of Markdown inside a line. An underscore inside a word, as in word_problems, is not markup.
INLINE = re.compile(r"[\\`*\[\]~$|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
LINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)")  # what some viewers turn into a link
BLOCK = re.compile(r"^(#{1,6}|[+-]|\d{1,9}[.)])(?=\s)|^(-{3,}|=+)$")  # what makes a line a heading or an item


def visible(text: Any, keep: str = "") -> str:
    """Return a text with every control character written out, except those in ``keep``.

    >>> print(visible("a\\x1b[2Jb"))
    a\\u001b[2Jb
    """
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else f"\\u{ord(match[0]):04x}", str(text))


def one_line(text: Any) -> str:
    """Return a text as one line, with its other control characters written out."""
    return visible(re.sub(r"\s*[\r\n]+\s*", " ", str(text)))


def terminal(text: Any) -> str:
    """Return a text for a terminal or a log: it keeps its lines and tabs.

    >>> print(terminal("done\\rfailed"))
    done\\u000dfailed
    """
    return visible(str(text).replace("\r\n", "\n"), keep="\n\t")


def print_text(*texts: Any, **options: Any) -> None:
    """Print texts as `terminal` writes them; takes the options of `print`."""
    print(*map(terminal, texts), **options)


def json_text(value: Any, **options: Any) -> str:
    """Return a value as JSON in readable characters; reading it returns the same value.

    >>> print(json_text({"é": "\\x9b"}))
    {"é": "\\u009b"}
    """
    return visible(json.dumps(value, ensure_ascii=False, **options), keep="\n")


def html(text: Any) -> str:
    """Return a text for the content of an HTML element, or for an attribute in quotes.

    >>> html("<b>x</b>")
    '&lt;b&gt;x&lt;/b&gt;'
    """
    return standard.escape(visible(text, keep="\n\t"), quote=True)


def html_table(frame: DataFrame) -> Styler:
    """Return a table as a pandas Styler in which texts are escaped, so that any further format is safe.

    Numbers stay numbers. Formulas in texts are not typeset. A caption has to be escaped by `html`.

    >>> import pandas as pd
    >>> "&lt;b&gt;" in html_table(pd.DataFrame({"<i>": ["<b>"]}, index=["<u>"])).format("{}").to_html()
    True
    """

    def cell(value: Any) -> Any:
        return value if value is None or isinstance(value, Number) or _is_moment(value) else html(value)

    def label(value: Any) -> Any:
        return value if value is None or isinstance(value, Number) else html(value)

    escaped = frame.map(cell).rename(index=label, columns=label)
    escaped.index.names = [label(name) for name in frame.index.names]
    escaped.columns.names = [label(name) for name in frame.columns.names]
    return escaped.style.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')


def _is_moment(value: Any) -> bool:
    """Return whether a value is a time, or pandas' sign of a missing one."""
    return type(value).__name__ in ("Timestamp", "Timedelta", "NaTType", "NAType")


def page_environment() -> Environment:
    """Return a Jinja environment for HTML pages: every value is escaped as by `html`, unless it is a Markup."""
    from jinja2 import Environment
    from markupsafe import Markup

    def written_out(value: Any) -> Any:
        return visible(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(autoescape=True, finalize=written_out)


def page_policy(*scripts: str) -> str:
    """Return the HTML element that lets a page run these inline scripts only, and load nothing from elsewhere."""
    from base64 import b64encode
    from hashlib import sha256

    digests = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(digests) or "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "'self' data: file:",
        "font-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{name} {value}" for name, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'


def plotly(text: Any) -> str:
    """Return a text for a title, name or label of a plotly figure, which takes some tags and LaTeX; a Markup stays.

    >>> plotly("<a href=x>$1$")
    '&lt;a href=x&gt;&#36;1&#36;'
    """
    from markupsafe import Markup

    if isinstance(text, Markup):
        return str(text)
    return standard.escape(one_line("" if text is None else text), quote=False).replace("$", "&#36;")


def plotly_name(text: Any) -> str:
    """Return a text for the legend of a plotly figure: as `plotly` writes it, cut off after 60 characters.

    A longer one would leave no room for the figure.

    >>> len(plotly_name(100 * "x"))
    60
    """
    cut = len(str(text)) > LONGEST_NAME and not hasattr(text, "__html__")
    return plotly(f"{one_line(text)[: LONGEST_NAME - 1]}…" if cut else text)


def plain(plotly_text: str | None) -> str:
    """Return what a viewer sees of a text of a plotly figure: without its tags, and with its characters.

    >>> plain("<b>1</b> &lt; 2")
    '1 < 2'
    """
    return standard.unescape(re.sub(r"</?[A-Za-z]+[^<>]*>", " ", plotly_text or "")).strip()


def markdown(text: Any) -> str:
    """Return a text for a line or a cell of Markdown, as one line without tags, links, emphasis or formulas.

    >>> print(markdown("<b> *a* | b_c"))
    &lt;b&gt; \\*a\\* \\| b_c
    """
    line = standard.escape(INLINE.sub(lambda match: f"\\{match[0]}", one_line(text).strip()), quote=False)
    line = LINK.sub(lambda match: f"{match[1] or match[3]}&#{ord(match[2] or match[4])};", line)
    return BLOCK.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line)


def csv_cell(value: Any) -> Any:
    """Return a value for a cell of a CSV file: a text that a spreadsheet would compute begins with an apostrophe.

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-0.5)
    ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(value, str):
        return value
    computed = FORMULA.match(value) and not _is_number(value)
    return f"{chr(39) if computed else ''}{terminal(value)}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def latex(text: Any) -> str:
    """Return a text for LaTeX, as one line.

    >>> print(latex("50% of x_1"))
    50\\% of x\\_1
    """
    escaped = "".join(LATEX.get(character, character) for character in one_line(text))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped  # or it would belong to the end of a row
