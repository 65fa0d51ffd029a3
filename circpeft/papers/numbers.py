"""Parser of printed figures: "0.59M", "133.14G", "94.01±0.39", "51.8x"."""

import re

UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "x": 1.0}
PRINTED = re.compile(r"(?P<digits>\d+(?:\.(?P<places>\d+))?)(?P<unit>[KMGx]?)(?:±\d+(?:\.\d+)?)?")


def _match(printed: str) -> re.Match:
    match = PRINTED.fullmatch(printed)
    if not match:
        raise ValueError(f"not a printed figure: {printed!r}; expected digits with K, M, G, x or ±, e.g. '0.59M'")
    return match


def is_number(printed: str) -> bool:
    """Return whether a printed cell is a figure; a formula, a word and "-" are not."""
    return PRINTED.fullmatch(printed) is not None


def number(printed: str) -> float:
    """Return the value of a printed figure in base units, without its spread.

    Raises:
        ValueError: the text is not a figure.

    >>> number("0.59M"), number("94.01±0.39"), number("51.81x")
    (590000.0, 94.01, 51.81)
    """
    match = _match(printed)
    return float(match["digits"]) * UNITS[match["unit"]]


def half_unit(printed: str) -> float:
    """Return half a unit of the last printed digit, in base units: the largest rounding error.

    Raises:
        ValueError: the text is not a figure.

    >>> half_unit("0.59M"), half_unit("85.2")
    (5000.0, 0.05)
    """
    match = _match(printed)
    return 0.5 * 10.0 ** -len(match["places"] or "") * UNITS[match["unit"]]


def agrees(printed: str, value: float) -> bool:
    """Return whether a value rounds (up, down or to even) to a printed figure.

    >>> agrees("0.59M", 589_824), agrees("94.2", 94.25), agrees("51.9x", 518.9)
    (True, True, False)
    """
    return abs(value - number(printed)) <= half_unit(printed) + 1e-9 * max(1.0, abs(value))
