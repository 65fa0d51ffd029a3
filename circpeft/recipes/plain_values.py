"""Values that a record can hold."""

import json
from typing import Any


def is_plain(value: Any) -> bool:
    """Return whether a value is a finite number, a text, True, False, None, or a list or dictionary of these.

    >>> is_plain([1, "a", None]), is_plain({1, 2}), is_plain(1j), is_plain(float("nan"))
    (True, False, False, False)
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
