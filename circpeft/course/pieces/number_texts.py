"""Numbers as texts, written as the script texts.js writes them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context
from itertools import groupby

_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)
ZERO = 1e-9  # what rounding leaves of a zero is smaller


def short(value: float) -> str:
    """Return a number with three digits; what rounding left of a zero is "0".

    >>> short(-0.12345), short(1e-12), short(1230.4)
    ('−0.123', '0', '1230')
    """
    if abs(value) < ZERO:
        return "0"
    return f"{_THREE_DIGITS.create_decimal_from_float(value).normalize():f}".replace("-", "−")


def signed(value: float) -> str:
    """Return a number with its sign and two decimals.

    >>> signed(0.5), signed(-0.25)
    ('+0.50', '−0.25')
    """
    return f"{value + 0.0:+.2f}".replace("-", "−")


def listed(values: Sequence[float]) -> str:
    """Return numbers as a list, where three or more equal ones in a row are counted.

    >>> listed([1.0, -1.0, 0.0, 0.0, 0.0])
    '1, −1, 3 times 0'
    """
    runs = [(text, len(list(run))) for text, run in groupby(map(short, values))]
    return ", ".join(f"{count} times {text}" if count > 2 else ", ".join([text] * count) for text, count in runs)
