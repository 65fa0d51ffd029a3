"""Settings and methods, read from what people type."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from ..defaults import PROFILES
from ..method_specs import SPECS
from ..suggest import nearest
from .checks import check_unrepeated
from .plain_values import is_plain


def profile(name: str, kind: str = "text") -> dict:
    """Return the settings of a profile for a kind of tasks.

    Args:
        name: "smoke", "cpu" or "paper".
        kind: "text", "images" or "instructions".

    Raises: ValueError for an unknown name or kind, with the nearest one.

    >>> profile("paper")["model"], profile("cpu", "images")["model"]
    ('FacebookAI/roberta-base', 'small-vit')
    """
    if kind not in PROFILES:
        raise ValueError(f"unknown kind of tasks {kind!r}; {nearest(kind, PROFILES)}")
    if name not in PROFILES[kind]:
        raise ValueError(f"unknown profile {name!r}; {nearest(name, PROFILES[kind])}")
    settings: dict[str, Any] = PROFILES[kind][name]
    return settings


def targets(text: str) -> tuple[str, ...] | str:
    """Return target modules from text: names separated by commas, one regular expression, or "all-linear".

    >>> targets("query, value"), targets("all-linear"), targets(r".*q_proj")
    (('query', 'value'), 'all-linear', '.*q_proj')
    """
    text = text.strip()
    if text == "all-linear" or set(text) & set("*|()[]\\^$+?"):
        return text
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_method(text: str) -> tuple[str, dict]:
    """Return a method's name and hyperparameters, from "name" or "name:key=value:key=value".

    Raises: ValueError for an empty name, a part that is not key=value, and a key that is given twice.

    >>> parse_method("c3a:block_size=64")
    ('c3a', {'block_size': 64})
    """
    name, *parts = text.strip().split(":")
    if not name:
        raise ValueError(f"no name of a method in {text!r}; expected one such as c3a:block_size=64")
    hyperparameters = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            example = "expected name:key=value, e.g. c3a:block_size=64"
            raise ValueError(f"cannot read {part!r} in method {text!r}; {example}")
        if key in hyperparameters:
            raise ValueError(f"{key} is given twice in method {text!r}; keep one of the values")
        hyperparameters[key] = hyperparameter(value)
    return name, hyperparameters


def hyperparameter(text: str) -> Any:
    """Return the value of a hyperparameter from text; a text that spells no plain value is the value itself.

    >>> hyperparameter("1e-3"), hyperparameter("gaussian"), hyperparameter("false")
    (0.001, 'gaussian', False)
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python's compiler, for a text such as 1st
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        # A word, such as init_weights=gaussian. "false" as a word would count as true.
        return {"true": True, "false": False}.get(text.lower(), text)
    return value if is_plain(value) else text  # not a set, such as {1}, or a complex number


def parse_methods(text: str) -> list[tuple[str, dict]]:
    """Return the methods of a comma-separated list. "all" is every method with its defaults.

    Raises: ValueError for an empty list and for a method that is listed twice, and as `parse_method`.

    >>> [name for name, _ in parse_methods("lora, cdvft:num_factors=5")]
    ['lora', 'cdvft']
    """
    if text.strip() == "all":
        return [(name, {}) for name in SPECS]
    texts = [part.strip() for part in text.split(",") if part.strip()]
    methods = [parse_method(part) for part in texts]
    check_unrepeated("methods", texts, "for more runs of it raise seeds")
    if not methods:
        raise ValueError(f"methods is empty; expected names such as {', '.join(SPECS)}, or all")
    return methods
