r"""Extract formulas from generated text, in the form of MATH's answers, and bring them into a normal form.

This follows MATH's own scorer, `is_equiv` (Hendrycks et al. 2021, arXiv 2103.03874): formulas are compared by their
spelling, not by their value. Two things differ: text that is not a unit is kept, as in ``10\text{ AM}``, and commas
between thousands are removed.
"""

from __future__ import annotations

import re
from decimal import Decimal

GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
# In LaTeX, an argument may have no braces: \boxed 5, \boxed\frac{1}{2}.
BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{|[-−]?\s*(?:\d|\\[a-zA-Z]))")
UNBRACED = re.compile(
    r"[-−]?\s*(?:\d+(?:,\d{3})*(?:\.\d+)?"
    rf"|\\[cdt]?frac\s*(?:{GROUP}|\d)\s*(?:{GROUP}|\d)|\\(?![cdt]?frac)[a-zA-Z]+(?:\s*{GROUP})*)"
)
ANSWER_IS = re.compile(r"answer\s+is\b[\s:*_]*", re.IGNORECASE)
# Up to a full stop before a blank or the end of a line; LaTeX is skipped.
SENTENCE = re.compile(
    r"(?:\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\$(?!\s)[^$\n]*?(?<!\s)\$(?!\d)|\{[^{}]*\}"
    r"|\.(?![\"'”’)\]*_]*(?:\s|\Z))|[^.\n])*",
    re.DOTALL,
)
DELIMITERS = re.compile(r"(?<!\\)(?:\$+|\\[()\[\]])")
TEXT = r"\\(?:text|textrm|textnormal|textup|textit|mbox|hbox|mathrm)"
POWER = r"(?:\^\{?\d\}?|[²³])?"  # of a unit
UNIT_TEXT = re.compile(rf"(?<=[\w)}}])\s*{TEXT}\{{([^{{}}]*)\}}{POWER}$")
UNIT_WORDS = re.compile(
    r"((?:[-−\d.,/{}\s]|\\(?:frac|sqrt|pi)(?![a-zA-Z]))*(?:[\d}]|\\pi))"
    rf"\s+([a-zA-Z]{{2,}}\.?(?:[ /][a-zA-Z]+\.?)*{POWER})"
)
FUNCTIONS = set("sin cos tan cot sec csc log ln exp sqrt pi mod gcd lcm max min".split())
NOT_UNITS = FUNCTIONS | set(
    "i e am pm ad bc bce ce and or not to over times plus minus more less fewer hundred thousand million billion "
    "trillion dozen half thirds fourths tenths hundredths squared cubed factorial base".split()
)


def boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{...}``, or what follows the last "answer is"; None without either.

    An answer after "answer is" ends with its sentence: in Minerva's form, "I hope it is correct." follows (Lewkowycz et
    al. 2022, arXiv 2206.14858).

    >>> boxed(r"so \boxed{\frac{1}{2}} it is"), boxed("The answer is: $1.5$. I hope so."), boxed("I do not know")
    ('\\frac{1}{2}', '1.5', None)
    """
    boxes = list(BOX.finditer(text))
    if boxes:
        return _content(text[boxes[-1].end() :])
    *_, answer = ANSWER_IS.split(text)
    if answer == text:
        return None
    sentence = SENTENCE.match(answer)
    answer = DELIMITERS.sub("", sentence[0] if sentence else answer)
    return re.sub(r"\*\*(?!\w)", "", answer).strip(' \t\n*_`"“”').rstrip(".").strip() or None


def _content(text: str) -> str | None:
    r"""Return the argument of a \boxed at the start of a text; None if its brace is never closed."""
    if text[0] != "{":
        return match[0] if (match := UNBRACED.match(text)) else None
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", text):  # \{ and \} do not delimit arguments
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0 and brace[0] == "}":
            return text[1 : brace.start()]
    return None  # generation was cut off within it


def mathematics(text: str) -> str:
    r"""Return a formula in a normal form: no spaces, sizes or units; fractions and roots with braces.

    As in MATH's scorer, a/b of integers is a fraction, which is not reduced, and 0.5 is one half.

    >>> mathematics(r"\dfrac12"), mathematics(r"x = 5"), mathematics(r"3\,\text{cm}"), mathematics("0.50")
    ('\\frac{1}{2}', '5', '3', '\\frac{1}{2}')
    """
    text = re.sub(r"(?<!\\)\\(?:(?:left|right|displaystyle)(?![a-zA-Z])|!)", "", text.replace("−", "-"))
    text = re.sub(r"(?<!\\)\\(?:q?quad(?![a-zA-Z])|[,;: ])|~", " ", text)
    text = re.sub(r"\\%|%|\\\$|\^(?:\\circ|\{\\circ\})|°", "", DELIMITERS.sub("", text)).strip().rstrip(".")
    text = re.sub(r"\\[cdt]frac", r"\\frac", text)
    text = UNIT_TEXT.sub(lambda unit: "" if _is_unit(unit[1]) else unit[0], text)
    text = re.sub(rf"(?:{TEXT}|\\textbf)\{{([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"(?<=\d)\s*([ap])\.?m\.?$", lambda half: f" {half[1].lower()}m", text, flags=re.IGNORECASE)
    if (quantity := UNIT_WORDS.fullmatch(text)) and _is_unit(quantity[2]):
        text = quantity[1]
    text = text.replace("{,}", ",")
    if not re.search(r"[(\[]|\\\{", text):  # in a tuple, an interval or a set, a comma separates numbers
        text = re.sub(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda number: number[0].replace(",", ""), text)
    text = re.sub(r"\s", "", text)
    text = re.sub(r"\\frac(\w|\\pi)", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\{[^{}]*\})(\w|\\pi)", r"\1{\2}", text)
    text = re.sub(r"\\sqrt(\w|\\pi)", r"\\sqrt{\1}", text)
    return _normal_number(re.sub(r"^[a-zA-Z]=", "", text))


def _is_unit(text: str) -> bool:
    return NOT_UNITS.isdisjoint(re.findall("[a-z]+", text.lower().replace(".", "")))


def _normal_number(text: str) -> str:
    """Return a number without superfluous zeros, and a/b as a fraction in LaTeX; other formulas unchanged."""
    if fraction := re.fullmatch(r"(-?)(\d+)/(\d+)|\\frac\{(-)(\d+)\}\{(\d+)\}", text):
        sign, above, below = [part for part in fraction.groups() if part is not None]
        return rf"{sign}\frac{{{above}}}{{{below}}}"
    if re.fullmatch(r"-?(?:\d*\.\d+|\d+)", text):
        text = format(Decimal(text), "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return {"-0": "0", "0.5": r"\frac{1}{2}"}.get(text, text)


def has_formula(text: str) -> bool:
    r"""Return whether a reference has a formula to compare with: in a closed box, after "answer is", or by itself.

    A text is a formula by itself if it has at most one word, not counting a unit at its end, functions, products
    (ab + bc) and LaTeX.

    >>> has_formula(r"so \boxed{5}"), has_formula("5 or 6"), has_formula("We add 2 and 3, so it is 5.")
    (True, True, False)
    """
    formula = boxed(text)
    if formula is None and (BOX.search(text) or not _is_bare(text)):
        return False
    return mathematics(text if formula is None else formula) != ""


def _is_bare(text: str) -> bool:
    """Return whether a text is a formula and nothing else."""
    text = re.sub(rf"(?:{TEXT}|\\textbf)\{{[^{{}}]*\}}|\\[a-zA-Z]+", " ", DELIMITERS.sub("", text)).strip().rstrip(".")
    before_unit = re.sub(rf"(?<=[\d}})])\s+[a-zA-Z]{{2,}}(?:[ /][a-zA-Z]+){{0,3}}{POWER}$", "", text)  # 12 square units
    return _words(text) <= 1 or _words(before_unit) == 0


def _words(text: str) -> int:
    """Count the words in a text; functions and products of letters do not count."""
    operator = r"[-+*/=^_<>()\[\]{}|]"  # letters next to one are a product
    words = re.findall(rf"(?<!{operator})(?<!{operator}\s)\b[^\W\d_]{{2,}}\b(?!\s?{operator})", text)
    return sum(word.lower() not in FUNCTIONS for word in words)
