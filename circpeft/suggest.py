"""Name the nearest valid choice in an error message."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(value: object, choices: Iterable[str]) -> str:
    """Return the part of an error message that lists the choices, and the nearest one to a mistyped value.

    >>> nearest("colum", ["column", "row"])
    "did you mean 'column'? (choices: column, row)"
    >>> nearest("x", [])
    'choices: none'
    """
    names = [str(choice) for choice in choices]
    close = get_close_matches(str(value), names, n=1, cutoff=0.6)
    listing = f"choices: {', '.join(names) if names else 'none'}"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing
