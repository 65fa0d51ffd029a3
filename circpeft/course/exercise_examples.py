"""Worked examples of an exercise: small inputs and the reference answer, drawn as grids of coloured numbers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from numbers import Number
from typing import Any

import torch

from ..escaping import html
from .exercise_type import Exercise
from .exercises import find

Example = tuple[list[tuple[str, Any]], list[tuple[str, Any]]]  # named arguments, named results
# Okabe and Ito's blue and orange, readable with either background: only the opacity shows the size of a number.
POSITIVE, NEGATIVE = "230, 159, 0", "0, 114, 178"
LARGEST_SIDE = 12  # larger arrays are not drawn: nobody follows them by hand
CELL = "min-width: 2.4em; padding: .15em .3em; text-align: center; border: 1px solid rgba(128, 128, 128, .35)"
ROW = "display: flex; flex-wrap: wrap; align-items: center; gap: 1em; margin: .5em 0"


class Examples:
    """The worked examples of one exercise. A notebook shows them as grids, other viewers as text.

    Args:
        title: the exercise's number and title.
        cases: for each example, the (name, value) pairs of its arguments and of what the function returns.
    """

    def __init__(self, title: str, cases: list[Example]):
        self.title, self.cases = title, cases

    def __repr__(self) -> str:
        lines = [f"Worked examples of exercise {self.title}"]
        for arguments, results in self.cases:
            given, returned = ("  ".join(f"{n} = {_text(v)}" for n, v in pairs) for pairs in (arguments, results))
            lines.append(f"  {given}  →  {returned}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for arguments, results in self.cases:
            arrow = '<span style="font-size: 1.6em" aria-label="gives">→</span>'
            grids = [_grid(*pair) for pair in arguments] + [arrow] + [_grid(*pair) for pair in results]
            rows.append(f'<div style="{ROW}">{"".join(grids)}</div>')
        return f"<div><strong>Worked examples of exercise {html(self.title)}</strong>{''.join(rows)}</div>"


def examples(exercise_id: str, cases: Sequence[Sequence[Any]] = ()) -> Examples:
    """Draw worked examples of an exercise: small inputs, and what the reference answer returns for them.

    Args:
        exercise_id: such as "02.1".
        cases: a sequence of arguments for each example. Lists of numbers become float64 tensors. Without it, two of
            the exercise's own inputs are drawn, with random tensors rounded to integers.

    Raises:
        ValueError: if there is no such exercise, or for an array with a side above 12.

    >>> examples("01.1", [([1, 2, 3],)])
    Worked examples of exercise 01.1: The circulant of a vector
      c = [1, 2, 3]  →  result = [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
    """
    item = find(exercise_id)
    if cases:
        drawn = [_example(item, case) for case in cases]
        large = [pair for pair in _pairs(drawn) if _side(pair[1]) > LARGEST_SIDE]
        if large:
            name, value = large[0]
            raise ValueError(
                f"{name} of exercise {exercise_id} has shape {tuple(value.shape)}, too large to draw; "
                f"choose cases with at most {LARGEST_SIDE} numbers along a side"
            )
    else:
        own = sorted(item.inputs(torch.Generator().manual_seed(1)), key=lambda case: sum(map(_count, case)))
        drawn = [_example(item, [_rounded(value) for value in case]) for case in own]
        drawn = [example for example in drawn if max(_side(v) for _, v in _pairs([example])) <= LARGEST_SIDE][:2]
    return Examples(f"{item.id}: {item.title}", drawn)


def _example(item: Exercise, case: Sequence[Any]) -> Example:
    """Return the named arguments and results of one case."""
    arguments = [_tensor(value) for value in case]
    result = item.reference(*arguments)
    results = result if isinstance(result, tuple) else (result,)
    labels = [f"result {i + 1} of {len(results)}" for i in range(len(results))] if len(results) > 1 else ["result"]
    names = inspect.signature(item.reference).parameters
    return list(zip(names, arguments, strict=True)), list(zip(labels, results, strict=True))


def _pairs(drawn: list[Example]) -> list[tuple[str, Any]]:
    return [pair for arguments, results in drawn for pair in (*arguments, *results)]


def _side(value: Any) -> int:
    return max(value.shape, default=0) if isinstance(value, torch.Tensor) else 0


def _count(value: Any) -> int:
    return value.numel() if isinstance(value, torch.Tensor) else 1


def _rounded(value: Any) -> Any:
    """Return a tensor with whole numbers, which can be followed by hand, and anything else unchanged."""
    return (2 * value).round() + 0.0 if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _tensor(value: Any) -> Any:
    """Return a list of numbers, or a list of such lists, as a float64 tensor, and anything else unchanged."""
    if isinstance(value, list) and value and all(isinstance(v, list | Number) for v in value):
        return torch.tensor(value, dtype=torch.float64)
    return value


def _number(value: Any) -> str:
    """Return a number with two decimals or two digits, whichever shows more; a complex one as "1 + 2i"."""
    if isinstance(value, complex):
        real, size = _number(value.real), _number(abs(value.imag))
        imaginary = "i" if size == "1" else f"{size}i"
        if imaginary == "0i":
            return real
        sign = "−" if value.imag < 0 else "+"
        return f"{real} {sign} {imaginary}" if real != "0" else f"{sign.removeprefix('+')}{imaginary}"
    if not isinstance(value, float):
        return str(value)
    if abs(value) < 1e-9:  # what rounding leaves of a zero
        return "0"
    return f"{value:.2g}" if abs(value) < 0.1 else f"{round(value, 2):g}"


def _text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else _number(value)


def _grid(name: str, value: Any) -> str:
    """Return a value as an HTML table under its name; an array with more than two axes as several tables."""
    label = f'<span style="font-family: monospace">{html(name)}</span>'
    if not isinstance(value, torch.Tensor) or value.dim() == 0:
        shown = html(_text(value.tolist() if isinstance(value, torch.Tensor) else value))
        return f"<div>{label} = <strong>{shown}</strong></div>"
    if value.dim() > 2:
        return "".join(_grid(f"{name}[{i}]", part) for i, part in enumerate(value))
    largest = max(float(value.abs().max()), 1e-12) if value.numel() else 1.0
    rows = "".join(
        "<tr>" + "".join(f'<td style="{CELL}; {_color(v, largest)}">{_number(v)}</td>' for v in row) + "</tr>"
        for row in torch.atleast_2d(value).tolist()
    )
    table = f'<table style="border-collapse: collapse; margin: 0; width: auto">{rows}</table>'
    return f"<div>{label}{table}</div>"


def _color(value: complex | float, largest: float) -> str:
    """Return the style of a cell: orange above zero, blue below, the stronger the larger the number."""
    base = NEGATIVE if isinstance(value, float) and value < 0 else POSITIVE
    return f"background: rgba({base}, {0.55 * abs(value) / largest:.2f})"
