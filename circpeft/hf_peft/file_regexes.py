"""Regular expressions in an adapter's config: refused if matching one could take longer than a moment.

PEFT matches them against the name of every module. Python's matching goes back and tries again at every repetition:
``(a+)+$`` needs a time that doubles with every letter of a name. Those in a file are therefore restricted; those that a
program passes are its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 20_000  # characters; a regex that lists all layers of a large model has fewer
NAME = 64  # characters of a name of a module
MOST_WAYS = 2_000_000  # of matching one name: a fraction of a second

# Fields that hold a regex, or names of which PEFT makes regexes.
REGEXES = ("target_modules", "exclude_modules", "layers_pattern", "block_size_pattern", "alpha_pattern", "rank_pattern")


def check_regexes(file: str, content: Mapping[str, Any]) -> None:
    """Check the regexes in a config.

    Raises: ValueError that names the file, the field and the regex.

    >>> check_regexes("adapter_config.json", {"target_modules": r"model\\.layers\\.\\d+\\.(q|v)_proj"})
    >>> check_regexes("adapter_config.json", {"target_modules": "(.*)*x"})
    Traceback (most recent call last):
    ...
    ValueError: adapter_config.json: target_modules has the regex '(.*)*x', which can match a name in too many ways; ...
    """
    for field in REGEXES:
        value = content.get(field)
        regexes = [value] if isinstance(value, str) else value if isinstance(value, (list, dict)) else ()
        for regex in filter(lambda item: isinstance(item, str), regexes):  # other types are refused elsewhere
            if reason := slow(regex):
                raise ValueError(
                    f"{file}: {field} has the regex {regex[:80]!r}, {reason}; list the names of the layers instead"
                )


def slow(regex: str) -> str:
    """Return why matching a regex may take long; "" for one that is fast.

    >>> slow(r".*\\.layers\\.(1|2)\\.q_proj"), slow("(a|a)*")
    ('', 'which can match a name in too many ways')
    """
    if len(regex) > LONGEST:
        return f"of {len(regex)} characters"
    try:
        ways = _value(*_sequence(parser.parse(regex)))
    except (re.error, RecursionError, OverflowError) as error:
        return f"which cannot be read ({error})"
    return "which can match a name in too many ways" if ways > math.log(MOST_WAYS) else ""


def _value(ways: float, repeats: int) -> float:
    """Return the logarithm of the ways, with unlimited repeats that share the characters of one name."""
    return ways + repeats * math.log(NAME) - math.lgamma(repeats + 1)


def _sequence(parsed: Any) -> tuple[float, int]:
    """Return an upper bound of the ways in which a sequence can match.

    Returns: the logarithm of the ways without those of unlimited repeats, and the number of these repeats.
    """
    ways, repeats = 0.0, 0
    for operation, argument in parsed:
        of_part, more = _part(str(operation), argument)
        ways, repeats = ways + of_part, repeats + more
    return ways, repeats


def _part(operation: str, argument: Any) -> tuple[float, int]:
    if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, inner = int(argument[0]), min(int(argument[1]), NAME), argument[2]
        choices, inside = max(most - least + 1, 1), _value(*_sequence(inner))
        if inside or choices < NAME // 4:
            return math.log(choices) + most * inside, 0
        return 0.0, 1
    if operation == "BRANCH":
        alternatives = argument[1]
        firsts = [str(alternative[0]) if alternative else "" for alternative in alternatives]
        if all(first.startswith("(LITERAL,") for first in firsts) and len({*firsts}) == len(firsts):
            return max(_value(*_sequence(alternative)) for alternative in alternatives), 0
        return math.log(sum(math.exp(min(_value(*_sequence(part)), 500)) for part in alternatives)), 0
    if operation in ("GROUPREF", "GROUPREF_EXISTS"):
        return 0.0, 1 + sum(_sequence(part)[1] for part in _parts(argument))
    found = [_sequence(part) for part in _parts(argument)]
    return sum(ways for ways, _ in found), sum(repeats for _, repeats in found)


def _parts(argument: Any) -> Iterator[Any]:
    """Yield the parsed regexes in the argument of an operation."""
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for item in argument:
            yield from _parts(item)
