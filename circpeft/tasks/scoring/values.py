"""Compare formulas by their value, with math-verify: a second score beside the papers' comparison of spelling."""

from __future__ import annotations

import threading
from importlib.util import find_spec

from . import comparisons, formulas

SECONDS = 5  # for one formula, or one comparison; math-verify takes longer ones for different


def is_installed() -> bool:
    """Return whether math-verify is installed."""
    return find_spec("math_verify") is not None


def same_value(reference: str, answer: str) -> bool:
    r"""Return whether both contain formulas of the same value, as far as math-verify can tell.

    The formulas are found as in `comparisons.same_mathematics`, and formulas that it takes for equal are equal here.

    Raises: ModuleNotFoundError without math-verify.

    >>> same_value(r"so \boxed{2\sqrt{3}}", r"it is \boxed{2\sqrt{3}}")
    True
    """
    expected, written = comparisons.formulas_in(reference, answer)
    if written is None:
        return False
    if formulas.mathematics(written) == formulas.mathematics(expected):
        return True
    from math_verify import parse, verify

    # The limit is a signal, which only the main thread can receive.
    limit = SECONDS if threading.current_thread() is threading.main_thread() else None
    gold, given = (parse(f"${formula}$", parsing_timeout=limit) for formula in (expected, written))
    return bool(verify(gold, given, timeout_seconds=limit))
