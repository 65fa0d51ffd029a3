"""Answers of a language model: found in what it wrote, and compared with what was asked for."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

# A minus behind a digit or a letter is a subtraction or a hyphen; a comma belongs to a number before three digits only.
NUMBER = re.compile(
    r"(?:(?<![\w)\]%])[-−])?(?:\$\s?)?"
    r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)\.\d+)"
    r"(?:\s?/\s?\d+)?"
)
MARK = "####"  # GSM8K puts its answer behind this
ATTRIBUTE = r"\s*(\w+)\s*(?:\[([^\[\]]*)\])?\s*"  # of a ViGGO meaning representation


def number(text: str) -> Fraction | None:
    """The number behind the last ``####``, or else the last number; None where there is none.

    Thousands' commas, a dollar sign and a percent sign are left out; fractions are read.

    >>> number("48 + 24 = 72 clips.\\n#### 72"), number("so it costs $1,250.50."), number("3/4 of it"), number("none")
    (Fraction(72, 1), Fraction(2501, 2), Fraction(3, 4), None)
    """
    marked = text.rpartition(MARK)
    found = NUMBER.findall(marked[2]) if marked[1] else []
    chosen = found[0] if found else (NUMBER.findall(text) or [None])[-1]
    return None if chosen is None else _fraction(chosen)


def _fraction(text: str) -> Fraction | None:
    above, _, below = re.sub(r"[$,\s]", "", text).replace("−", "-").partition("/")
    try:
        value = Fraction(Decimal(above)) / (Fraction(Decimal(below)) if below else 1)
    except (InvalidOperation, ZeroDivisionError):  # "1/0" is no number
        return None
    return value


def boxed(text: str) -> str | None:
    r"""What stands in the last ``\boxed{...}``, or behind the last "answer is"; None where there is neither.

    >>> boxed(r"so \boxed{\frac{1}{2}} it is"), boxed("The answer is: 5."), boxed("I do not know")
    ('\\frac{1}{2}', '5', None)
    """
    boxes = list(re.finditer(r"\\(?:boxed|fbox)\s*(?:\{|(-?\d+))", text))
    if boxes:
        if boxes[-1][1]:  # \boxed 5
            return boxes[-1][1]
        depth, begin = 1, boxes[-1].end()
        for brace in re.finditer(r"\\.|[{}]", text[begin:]):  # \{ and \} are no braces of LaTeX's
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if depth == 0:
                return text[begin : begin + brace.start()]
        return None  # never closed: cut off while it was written
    _, *told = re.split(r"answer is:?\s*", text, flags=re.IGNORECASE)
    return told[-1].partition("\n")[0].strip().rstrip(".").strip("$").strip() or None if told else None


def mathematics(text: str) -> str:
    r"""A formula in one spelling: without spaces, sizes and units, fractions and roots with braces.

    >>> mathematics(r"\dfrac12"), mathematics(r"x = 5"), mathematics(r"3\,\text{cm}"), mathematics("0.50")
    ('\\frac{1}{2}', '5', '3', '0.5')
    """
    text = re.sub(r"(?<!\\)\\(?:(?:left|right|quad|displaystyle)(?![a-zA-Z])|[!,;: ])", "", text)
    text = re.sub(r"\\%|%|\\\$|\$|\^(?:\\circ|\{\\circ\})|°", "", text).strip().rstrip(".")
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"(?<=[\d\w)}])\s*\\(?:text|mbox|mathrm)\{[^{}]*\}(?:\^\{?\d\}?)?$", "", text)  # a unit at the end
    text = re.sub(r"\\(?:text|mbox|mathrm|textbf)\{([^{}]*)\}", r"\1", text)
    text = text.replace("{,}", ",")
    if not re.search(r"[(\[]|\\\{", text):  # in a tuple, an interval or a set the comma stands between two numbers
        text = re.sub(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda number: number[0].replace(",", ""), text)
    text = re.sub(r"\s", "", text)
    text = re.sub(r"\\frac(\w|\\pi)", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\{[^{}]*\})(\w|\\pi)", r"\1{\2}", text)
    text = re.sub(r"\\sqrt(\w|\\pi)", r"\\sqrt{\1}", text)
    text = re.sub(r"^[a-zA-Z]=", "", text)
    if re.fullmatch(r"-?\d*\.?\d+", text):
        text = format(Decimal(text), "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def meaning(text: str) -> tuple | str:
    """A ViGGO meaning representation, ``act(attribute[value, ...], ...)``, whatever the order of what it lists.

    Capitals in values do not count. Where the text is none, it is compared as a text.

    >>> meaning("inform(name[A], genres[x, y])") == meaning(" inform( genres[y,x], name[A] )")
    True
    """
    whole = re.fullmatch(rf"\s*(\w+)\s*\((\s*|{ATTRIBUTE}(?:,{ATTRIBUTE})*)\)\s*", text)
    if not whole:
        return " ".join(text.split())
    attributes = re.findall(ATTRIBUTE, whole[2])
    listed = ((name, tuple(sorted(v.strip().lower() for v in values.split(",")))) for name, values in attributes)
    return whole[1], tuple(sorted(listed))


def query(text: str) -> str:
    """An SQL query in one spelling: one kind of quotes, single spaces, lower case outside of quotes, no semicolon.

    >>> query('SELECT  a FROM t WHERE b = "X";') == query("select a from t where b='X'")
    True
    """
    parts = re.split(r"('[^']*'|\"[^\"]*\")", text.strip().rstrip(";").strip())
    for at, part in enumerate(parts):  # every second one is quoted
        if at % 2:
            parts[at] = f"'{part[1:-1]}'"
        else:
            parts[at] = re.sub(r"\s*([=<>!]+|[(),])\s*", r"\1", re.sub(r"\s+", " ", part.lower()))
    return "".join(parts)
