"""Extract numbers, meaning representations and SQL queries from generated text; see `formulas` for formulas."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"  # a comma is part of a number only before three digits
NUMBER = re.compile(
    rf"""
    # A minus after a digit or a letter is a subtraction or a hyphen. Before a blank it needs a "=" or a brace.
    (?P<minus>(?<![\w)\]%])[-−]|(?<=[={{])\s*[-−]\s+(?=[\d.$]))?
    (?:\$\s?)?
    (?:
        (?P<unread>\\[cdt]?frac(?:\s*\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}){{0,2}})  # not a fraction of two numbers
      | (?P<ones>{INTEGER})[^\S\n]+(?P<above>\d+)/(?P<under>\d+)(?![\d/])  # 3 1/2
      | (?P<digits>{INTEGER}(?:\.\d+)?|(?<!\w)\.\d+)
        (?:
            [eE](?P<exponent>[-+]?\d+)
          | \s?(?:\\times|\\cdot|[×x*])\s?10\^\{{?(?P<tens>[-−]?\d+)\}}?
          | \^\{{?(?P<power>\d+)\}}?
        )?
        (?:\s?/\s?(?P<below>\d+))?
    )
    """,
    re.VERBOSE,
)
LONGEST_POWER = 3000  # digits of the largest power that is computed
MARK = "####"  # precedes the answer in GSM8K
CALCULATION = re.compile(r"[+×÷·]|\\(?:times|cdot|div)|\d[a-zA-Z\s)%]*(?:[-−/]|\*+|\bx)\s*[($]*\d|\dx\d")
FENCE = re.compile(r"```[ \t]*(?:[a-z]*sql\w*\b)?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
# In a ViGGO meaning representation. Blanks can be matched in one way only, or the time would be exponential.
ATTRIBUTE = r"\s*(\w+)(?:\s*\[([^\[\]]*)\])?\s*"


def number(text: str) -> Fraction | None:
    """Return the number after the last ``####``, or without one the last number; None if there is no number.

    Commas between thousands, dollar signs and percent signs are ignored. Fractions, mixed numbers and exponents are
    read, in LaTeX too. In a calculation after the mark, the result counts.

    >>> number("48 + 24 = 72 clips.\\n#### 72"), number("so it costs $1,250.50."), number("3/4 of it"), number("none")
    (Fraction(72, 1), Fraction(2501, 2), Fraction(3, 4), None)
    """
    text = _without_latex(text)
    _, mark, after = text.rpartition(MARK)
    if mark and (line := next((line for line in after.splitlines() if NUMBER.search(line)), "")):
        return _value(_result(line))
    *_, last = None, *NUMBER.finditer(text)
    return _value(last)


def has_number(text: str) -> bool:
    """Return whether a reference has a number to compare with: right after ``####``, or the number and nothing else.

    >>> has_number("3 * 4 = 12\\n#### 12 eggs"), has_number("$1,250"), has_number("He has 5 apples on day 2")
    (True, True, False)
    """
    unformatted = _without_latex(text)
    _, mark, after = unformatted.rpartition(MARK)
    if mark:
        return re.match(r"[\W_]*\d", after) is not None and number(text) is not None
    bare = re.sub(r"[$€£]", "", unformatted).strip().removesuffix(".").removesuffix("%")
    return (match := NUMBER.fullmatch(bare.strip())) is not None and _value(match) is not None


def _without_latex(text: str) -> str:
    r"""Write LaTeX's numbers, such as 1{,}234, 1\,234, 3\frac{1}{2} and \$5, without LaTeX."""
    text = re.sub(r"\\([$%])", r"\1", text.replace("{,}", ","))
    text = re.sub(r"(?<=[\d,])\\[,!;](?=\d)", "", text)
    above, below = rf"(?:\{{\s*([-−]?{INTEGER}(?:\.\d+)?)\s*\}}|(\d))", r"(?:\{\s*(\d+)\s*\}|(\d))"
    return re.sub(
        rf"(\d\s*|(?<!\s)\s*)\\[cdt]?frac\s*{above}\s*{below}",  # blanks are tried from the first one only
        lambda f: f"{f[1].strip()}{' ' if f[1].strip() else ''}{f[2] or f[3]}/{f[4] or f[5]}",
        text,
    )


def _result(line: str) -> re.Match | None:
    """Return the number that a line after the mark means: the first that is not in a calculation ("3 * 4 = 12")."""
    parts = [re.sub(r"^([\s*$]*)[-−]\s+(?=[\d.$])", r"\1-", part) for part in line.split("=")]
    matches = [(NUMBER.search(part), CALCULATION.search(part)) for part in parts]
    return next((n for n, calculation in matches if n and not calculation), next(n for n, _ in matches if n))


def _value(match: re.Match | None) -> Fraction | None:
    """Return the value of a match of `NUMBER`; None for a division by zero, or a number of thousands of digits."""
    if match is None or match["unread"]:
        return None
    sign = -1 if match["minus"] else 1
    if match["ones"]:
        above, under = Fraction(Decimal(match["above"])), Fraction(Decimal(match["under"]))
        ones = Fraction(Decimal(match["ones"].replace(",", "")))
        return sign * (ones + above / under) if under else None
    value = Fraction(Decimal(match["digits"].replace(",", "")))
    tens = Decimal((match["exponent"] or match["tens"] or "0").replace("−", "-"))
    power, below = Decimal(match["power"] or "1"), Fraction(Decimal(match["below"] or "1"))
    if below == 0 or abs(tens) > LONGEST_POWER or match["power"] and power * len(match["digits"]) > LONGEST_POWER:
        return None
    return sign * value ** int(power) * Fraction(10) ** int(tens) / below


def meaning(text: str) -> tuple | str:
    """Parse a ViGGO meaning representation, ``act(attribute[value, ...], ...)``, so that order does not matter.

    Capital letters in values do not matter either. Any other text is returned with single spaces.

    >>> meaning("inform(name[A], genres[x, y])") == meaning(" inform( genres[y,x], name[A] )")
    True
    """
    act = re.fullmatch(rf"\s*(\w+)\s*\((\s*|{ATTRIBUTE}(?:,{ATTRIBUTE})*)\)\s*", text)
    if not act:
        return " ".join(text.split())
    attributes = re.findall(ATTRIBUTE, act[2])
    values_of = ((name, tuple(sorted(v.strip().lower() for v in values.split(",")))) for name, values in attributes)
    return act[1], tuple(sorted(values_of))


def query(text: str) -> str:
    """Return an SQL query in a normal form: single quotes, single spaces, lower case outside quotes, no semicolon.

    If the text has a Markdown code block, the last one is the query.

    >>> query('SELECT  a FROM t WHERE b = "X";') == query("select a from t where b='X'")
    True
    """
    *_, text = text, *FENCE.findall(text)
    parts = re.split(r"('[^']*'|\"[^\"]*\")", text.strip().rstrip(";").strip())
    for index, part in enumerate(parts):  # every second part is quoted
        if index % 2:
            parts[index] = f"'{part[1:-1]}'"
        else:
            spaced = re.sub(r"\s*([=<>!]+|[(),])\s*", r"\1", re.sub(r"\s+", " ", part.lower()))
            parts[index] = spaced.replace("<>", "!=")
    return "".join(parts)
