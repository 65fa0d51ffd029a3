"""LaTeX formulas as MathML, which browsers show without a script."""

import re
from html import escape
from xml.etree import ElementTree

from latex2mathml.converter import convert as to_mathml

# HTML is split at what must not change: tags, and code with its content.
VERBATIM = re.compile(r"(<(code|pre|script|style)\b.*?</\2>|<[^>]+>)", re.DOTALL | re.IGNORECASE)
FORMULA = re.compile(r"(?<![\\$])(\$\$?)(?!\s*\$)(.+?)(?<!\\)\1(?!\$)", re.DOTALL)
# Commands that the converter does not know, and their closest equivalents that it does know.
EQUIVALENTS = {
    "{aligned}": "{align*}",
    "{gathered}": "{matrix}",
    r"\operatorname*": r"\operatorname",
    r"\arg": r"\operatorname{arg}",
    r"\tag": r"\qquad\tag",  # the converter puts the number right behind the formula
}
OVERLINE = "\u2015"  # the character that the converter puts above a formula


def formula(latex: str, block: bool = False) -> str:
    """Return LaTeX as MathML, or its source in `<code>` if it cannot be converted.

    >>> formula("x^2")
    '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    """
    latex = latex.strip()
    convertible = latex
    for command, equivalent in EQUIVALENTS.items():
        convertible = convertible.replace(command, equivalent)
    try:
        mathml = to_mathml(convertible, display="block" if block else "inline")
    except Exception:  # the converter raises many kinds of errors; the reader then sees the source
        mathml = ""
    # A backslash is an unknown command, and a lone "&" an unknown environment.
    if not mathml or "\\" in mathml or "<mi>&</mi>" in mathml:
        return f"<code>{escape(latex)}</code>"
    # HTML needs no namespace, and Jupyter's code for headings does not expect one.
    tree = ElementTree.fromstring(mathml.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    for over in tree.iter("mover"):
        if over[1].text == OVERLINE:  # browsers do not stretch this character, so draw a border instead
            over[0].set("style", "border-top: .06em solid; padding-top: .1em")
            over[1].tag, over[1].text = "mspace", None
    return ElementTree.tostring(tree, encoding="unicode")


def formulas(html: str) -> str:
    """Return HTML with the `$...$` and `$$...$$` in its text as MathML. Code and tags do not change.

    >>> formulas("<code>$x$</code>")
    '<code>$x$</code>'
    """
    pieces = VERBATIM.split(html)  # text, verbatim, its tag name, text, ...
    pieces[::3] = [FORMULA.sub(lambda m: formula(m[2], m[1] == "$$"), text) for text in pieces[::3]]
    return "".join(piece for i, piece in enumerate(pieces) if i % 3 != 2)
