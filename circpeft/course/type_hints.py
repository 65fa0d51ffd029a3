"""Read a value that a user typed by the type hint of the parameter that it is for."""

import ast
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any

from circpeft.suggest import nearest

TYPES = {kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict)}
GENERIC = {"List": list, "Tuple": tuple, "Dict": dict, "Sequence": list, "Iterable": list, "Mapping": dict}
WRAPPERS = ("Final", "Annotated", "ClassVar")  # the first part of their brackets is the type
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
NONES = ("None", "none", "null")
TRIED_LAST = {float: 1, str: 2}  # every int is also a float, and everything typed is also a text


@dataclass(frozen=True)
class Kind:
    """One of the types that a value may have.

    Args:
        type: the type; None accepts every value.
        parts: for a list or tuple, the kinds of its items; for a dict, of its values; () accepts all.
        choices: for a Literal, its values.
    """

    type: Any
    parts: tuple["Kind", ...] = ()
    choices: tuple = ()

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(map(repr, self.choices))
        name = {None: "any value", NoneType: "None"}.get(self.type) or self.type.__name__
        inner = " | ".join(str(part) for part in self.parts)
        return f"{name}[{'str, ' if self.type is dict else ''}{inner}]" if inner else name


def kinds_of(hint: Any) -> tuple[Kind, ...]:
    """Return the types in a hint; () for an unknown hint, which accepts every value.

    >>> [str(kind) for kind in kinds_of("Optional[list[int]]")]
    ['list[int]', 'None']
    >>> [str(kind) for kind in kinds_of("Literal['a', 'b'] | float")]
    ["'a' or 'b'", 'float']
    >>> kinds_of("Path | None")
    ()
    """
    if isinstance(hint, str):
        try:
            hint = ast.parse(hint.strip(), mode="eval").body
        except SyntaxError:
            return ()
    kinds = tuple(_kinds(hint))
    return () if any(kind.type is None for kind in kinds) else kinds


def _kinds(hint: ast.expr) -> list[Kind]:
    match hint:
        case ast.Constant(value=None):
            return [Kind(NoneType)]
        case ast.Constant(value=str(text)):  # a hint in quotes
            return list(kinds_of(text)) or [Kind(None)]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _kinds(left) + _kinds(right)
        case ast.Subscript(value=base, slice=inner):
            name, parts = _name(base), inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name == "Union":
                return [kind for part in parts for kind in _kinds(part)]
            if name == "Optional":
                return [*_kinds(inner), Kind(NoneType)]
            if name == "Literal":
                return [_literal_kind(parts)]
            if name in WRAPPERS:
                return _kinds(parts[0])
            container = GENERIC.get(name) or TYPES.get(name)
            values = parts[1:] if container is dict else [part for part in parts if not _is_dots(part)]
            inside = [kind for part in values for kind in _kinds(part)]
            return [Kind(container, () if any(kind.type is None for kind in inside) else tuple(inside))]
    return [Kind(GENERIC.get(_name(hint)) or TYPES.get(_name(hint)))]


def _name(hint: ast.expr) -> str:
    """Return the last name of a hint: "Optional" for typing.Optional."""
    return getattr(hint, "id", "") or getattr(hint, "attr", "")


def _is_dots(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is ...


def _literal_kind(parts: list[ast.expr]) -> Kind:
    try:
        choices = tuple(ast.literal_eval(part) for part in parts)
    except ValueError:  # a member of an Enum
        return Kind(None)
    return Kind(type(choices[0]), choices=choices)


def literal(text: str) -> Any:
    """Return the value of a text that is a Python literal, or else the text itself.

    >>> literal("[1, 2]"), literal("words"), literal("")
    ([1, 2], 'words', '')
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def convert(value: Any, kinds: tuple[Kind, ...]) -> Any:
    """Return a value, typed as text or given from Python, as one of the kinds.

    A text becomes None, a boolean or a number where the kinds have these, and stays a text otherwise: "5" is a text
    with ``str``, and a number with ``int | str``. Without kinds, a text that is a Python literal becomes its value.

    Raises: ValueError, with what was expected, for a value that does not fit.

    >>> convert("None", kinds_of("int | None")), convert("-1e-3", kinds_of("float")), convert("5", kinds_of("str"))
    (None, -0.001, '5')
    >>> convert("1, -2", kinds_of("list[float]"))
    [1.0, -2.0]
    >>> convert("lra", kinds_of("Literal['lora', 'c3a']"))
    Traceback (most recent call last):
    ...
    ValueError: expected 'lora' or 'c3a'; did you mean 'lora'? (choices: lora, c3a)
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif getattr(value, "ndim", None) == 0:  # a number of NumPy or torch
        value = value.item()
    if not kinds:
        return literal(value) if isinstance(value, str) else value
    for kind in sorted(kinds, key=lambda kind: 0 if kind.choices else TRIED_LAST.get(kind.type, 0)):
        for candidate in _candidates(value, kind, kinds):
            if _fits(candidate, kind):
                return _as(candidate, kind)
    choices = [choice for kind in kinds for choice in kind.choices]
    hint = f"; {nearest(value, choices)}" if choices else ""
    raise ValueError(f"expected {' or '.join(str(kind) for kind in kinds)}{hint}")


def _candidates(value: Any, kind: Kind, kinds: tuple[Kind, ...]) -> list[Any]:
    """Return what a value can mean as this kind."""
    if not isinstance(value, str):
        return [value]
    if kind.choices:
        return [value, literal(value)]
    if kind.type is str:
        return [value]
    if kind.type is bool:
        return [BOOLEANS.get(value.strip().lower(), value)]
    if kind.type is float:
        return [_number(value)]
    if kind.type is NoneType:
        spelt = NONES[:1] if any(other.type is str for other in kinds) else NONES  # "none" may be a word
        return [None] if value.strip() in spelt else []
    return [literal(value)]


def _number(text: str) -> Any:
    """Return the number that a text spells, also inf and nan, or else the text."""
    try:
        return float(text)
    except ValueError:
        return literal(text)


def _fits(value: Any, kind: Kind) -> bool:
    if kind.choices:
        return any(type(value) is type(choice) and value == choice for choice in kind.choices)
    return type(value) in _ACCEPTED.get(kind.type, (kind.type,))


# Python's own conversions: an int is a float, and what is typed as `1, 2` is a tuple.
_ACCEPTED = {float: (float, int), list: (list, tuple), tuple: (tuple, list)}


def _as(value: Any, kind: Kind) -> Any:
    """Return a value that fits as the type of its kind, with its parts converted.

    Raises: ValueError for a part that is not one of these kinds.
    """
    if kind.choices or kind.type is NoneType:
        return value
    inner: Callable[[Any], Any] = (lambda part: convert(part, kind.parts)) if kind.parts else (lambda part: part)
    if kind.type is dict:
        return {name: inner(part) for name, part in value.items()}
    if kind.type in (list, tuple):
        return kind.type(map(inner, value))
    return kind.type(value)
