"""Answers of a language model: found in what it wrote, and compared with what was asked for; formulas: `formulas`."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"  # a comma belongs to a number before three digits only
NUMBER = re.compile(
    rf"""
    # A minus behind a digit or a letter is a subtraction or a hyphen; one before a blank stands behind "=" or a brace.
    (?P<minus>(?<![\w)\]%])[-−]|(?<=[={{])\s*[-−]\s+(?=[\d.$]))?
    (?:\$\s?)?
    (?:
        (?P<unread>\\[cdt]?frac(?:\s*\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}){{0,2}})  # not of two numbers
      | (?P<ones>{WHOLE})[^\S\n]+(?P<above>\d+)/(?P<under>\d+)(?![\d/])  # 3 1/2
      | (?P<digits>{WHOLE}(?:\.\d+)?|(?<!\w)\.\d+)
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
LONGEST_POWER = 3000  # digits of a power that is worked out
MARK = "####"  # GSM8K puts its answer behind this
CALCULATION = re.compile(r"[+×÷·]|\\(?:times|cdot|div)|\d[a-zA-Z\s)%]*(?:[-−/]|\*+|\bx)\s*[($]*\d|\dx\d")
FENCE = re.compile(r"```[ \t]*(?:[a-z]*sql\w*\b)?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
ATTRIBUTE = r"\s*(\w+)\s*(?:\[([^\[\]]*)\])?\s*"  # of a ViGGO meaning representation


def number(text: str) -> Fraction | None:
    """The number behind the last ``####``, or else the last number; None where there is none.

    Thousands' commas, a dollar sign and a percent sign are left out; fractions, mixed numbers and exponents are read,
    LaTeX's as well. Of a calculation behind the mark its result is meant.

    >>> number("48 + 24 = 72 clips.\\n#### 72"), number("so it costs $1,250.50."), number("3/4 of it"), number("none")
    (Fraction(72, 1), Fraction(2501, 2), Fraction(3, 4), None)
    """
    text = _plain(text)
    _, mark, behind = text.rpartition(MARK)
    if mark and (line := next((line for line in behind.splitlines() if NUMBER.search(line)), "")):
        return _value(_result(line))
    *_, last = None, *NUMBER.finditer(text)
    return _value(last)


def has_number(text: str) -> bool:
    """Whether a reference has a number to compare with: directly behind ``####``, or it is the number alone.

    >>> has_number("3 * 4 = 12\\n#### 12 eggs"), has_number("$1,250"), has_number("He has 5 apples on day 2")
    (True, True, False)
    """
    plain = _plain(text)
    _, mark, behind = plain.rpartition(MARK)
    if mark:
        return re.match(r"[\W_]*\d", behind) is not None and number(text) is not None
    alone = re.sub(r"[$€£]", "", plain).strip().removesuffix(".").removesuffix("%")
    return (found := NUMBER.fullmatch(alone.strip())) is not None and _value(found) is not None


def _plain(text: str) -> str:
    r"""LaTeX's numbers as they are written elsewhere: 1{,}234, 1\,234, 3\frac{1}{2}, \$5."""
    text = re.sub(r"\\([$%])", r"\1", text.replace("{,}", ","))
    text = re.sub(r"(?<=[\d,])\\[,!;](?=\d)", "", text)
    above, below = rf"(?:\{{\s*([-−]?{WHOLE}(?:\.\d+)?)\s*\}}|(\d))", r"(?:\{\s*(\d+)\s*\}|(\d))"
    return re.sub(
        rf"(\d?)\s*\\[cdt]?frac\s*{above}\s*{below}",
        lambda f: f"{f[1]}{' ' if f[1] else ''}{f[2] or f[3]}/{f[4] or f[5]}",
        text,
    )


def _result(line: str) -> re.Match | None:
    """The number that is meant behind the mark: the first, but for "3 * 4 = 12" or "x = 12"."""
    parts = [re.sub(r"^([\s*$]*)[-−]\s+(?=[\d.$])", r"\1-", part) for part in line.split("=")]
    found = [(NUMBER.search(part), CALCULATION.search(part)) for part in parts]
    return next((n for n, calculated in found if n and not calculated), next(n for n, _ in found if n))


def _value(found: re.Match | None) -> Fraction | None:
    if found is None or found["unread"]:
        return None
    sign = -1 if found["minus"] else 1
    if found["ones"]:
        above, under = Fraction(Decimal(found["above"])), Fraction(Decimal(found["under"]))
        ones = Fraction(Decimal(found["ones"].replace(",", "")))
        return sign * (ones + above / under) if under else None
    value = Fraction(Decimal(found["digits"].replace(",", "")))
    tens = Decimal((found["exponent"] or found["tens"] or "0").replace("−", "-"))
    power, below = Decimal(found["power"] or "1"), Fraction(Decimal(found["below"] or "1"))
    # "1/0" is no number, and none with thousands of digits is worked out.
    if below == 0 or abs(tens) > LONGEST_POWER or found["power"] and power * len(found["digits"]) > LONGEST_POWER:
        return None
    return sign * value ** int(power) * Fraction(10) ** int(tens) / below


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

    Where there is a fence of Markdown, the last one's content is the query.

    >>> query('SELECT  a FROM t WHERE b = "X";') == query("select a from t where b='X'")
    True
    """
    *_, text = text, *FENCE.findall(text)
    parts = re.split(r"('[^']*'|\"[^\"]*\")", text.strip().rstrip(";").strip())
    for at, part in enumerate(parts):  # every second one is quoted
        if at % 2:
            parts[at] = f"'{part[1:-1]}'"
        else:
            spaced = re.sub(r"\s*([=<>!]+|[(),])\s*", r"\1", re.sub(r"\s+", " ", part.lower()))
            parts[at] = spaced.replace("<>", "!=")
    return "".join(parts)
