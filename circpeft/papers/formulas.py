"""The time and space formulas of C3A Table 1, compared with exact counts."""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from typing import Any

from .. import costs

# (d1 = d_out, d2 = d_in, block size b, rank r, VeRA's rank rv) at which the formulas are compared.
SIZES = [(4096, 4096, 128, 32, 1024), (768, 768, 768, 8, 1024), (4096, 1024, 64, 8, 256), (1024, 4096, 1024, 16, 2048)]

PRINTED: dict[tuple[str, str], Callable[..., float]] = {
    ("LoRA", "Time"): lambda d1, d2, b, r, rv: r * (d1 + d2),
    ("LoRA", "# Param"): lambda d1, d2, b, r, rv: r * (d1 + d2),
    ("LoRA", "# Other"): lambda d1, d2, b, r, rv: 0,
    ("LoRA", "# Total"): lambda d1, d2, b, r, rv: r * (d1 + d2),
    ("VeRA", "Time"): lambda d1, d2, b, r, rv: rv * (d1 + d2),
    ("VeRA", "# Param"): lambda d1, d2, b, r, rv: rv + d1,
    ("VeRA", "# Other"): lambda d1, d2, b, r, rv: rv * (d1 + d2),
    ("VeRA", "# Total"): lambda d1, d2, b, r, rv: rv * (d1 + d2) + rv + d1,
    ("C3A", "Time"): lambda d1, d2, b, r, rv: (d1 + d2) * log2(b) + d1 * d2 / b,
    ("C3A", "# Param"): lambda d1, d2, b, r, rv: d1 * d2 / b,
    ("C3A", "# Other"): lambda d1, d2, b, r, rv: b,
    ("C3A", "# Total"): lambda d1, d2, b, r, rv: d1 * d2 / b + b,
}


def _options(row: str, b: int, r: int, rv: int) -> dict[str, int]:
    return {"LoRA": {"r": r}, "VeRA": {"r": rv}, "C3A": {"block_size": b}}[row]


def _growth(row: str, tokens: int) -> list[float]:
    """Return exact FLOPs per token over the printed formula, one per size; O() promises a bounded range."""
    ratios = []
    for d1, d2, b, r, rv in SIZES:
        flops = costs.flops(row.lower(), d2, d1, tokens=tokens, **_options(row, b, r, rv))
        ratios.append(flops / tokens / PRINTED[row, "Time"](d1, d2, b, r, rv))
    return ratios


def _numbers(row: str, column: str, sizes: tuple[int, ...]) -> float:
    """Return the value of a column by the cost model: trainable parameters, frozen numbers, or their sum."""
    d1, d2, b, r, rv = sizes
    trained = costs.parameters(row.lower(), d2, d1, **_options(row, b, r, rv))
    frozen = {"LoRA": 0, "VeRA": rv * (d1 + d2), "C3A": b}[row]  # C3A: the work space that its text allows
    return {"# Param": trained, "# Other": frozen, "# Total": trained + frozen}[column]


def kernel_transforms(d1: int, d2: int, b: int) -> float:
    """Return the term that C3A's time formula lacks, ``d1 d2 / b log b`` once per step, over the printed formula.

    >>> round(kernel_transforms(4096, 4096, 128), 2)
    4.87
    """
    return d1 * d2 / b * log2(b) / PRINTED["C3A", "Time"](d1, d2, b, 0, 0)


def check(row: str, column: str) -> dict[str, Any]:
    """Return the fields of an audit row for one cell of C3A Table 1.

    Its values are those at d1 = d2 = 4096, b = 128, r = 32, rv = 1024.
    """
    stated = float(PRINTED[row, column](*SIZES[0]))
    fields = {"stated": stated, "computed": stated, "formula": "the printed formula", "verdict": "match"}
    if (row, column) == ("C3A", "# Other"):
        note = "the work space of a transform depends on its library; the first version of the paper prints 0"
        return fields | {"computed": None, "formula": "", "verdict": "not_derivable", "note": note}
    if (row, column) == ("C3A", "# Total"):
        total = _numbers(row, "# Param", SIZES[0]) + PRINTED[row, "# Other"](*SIZES[0])
        return fields | {"computed": float(total), "formula": "the row's # Param plus its printed # Other, b"}
    if column != "Time":
        agrees = all(PRINTED[row, column](*sizes) == _numbers(row, column, sizes) for sizes in SIZES)
        return fields | {"computed": _numbers(row, column, SIZES[0]), "verdict": "match" if agrees else "misprint"}
    if row == "C3A":
        d1, d2, b, *_ = SIZES[0]
        return fields | {
            "computed": stated * (1 + kernel_transforms(d1, d2, b)),
            "formula": "(d1 + d2) log b + d1 d2 / b + d1 d2 / b log b",
            "verdict": "misprint",
            "note": "the formula leaves out the kernels' transforms in Eq. 1, needed once per step, not per token",
        }
    low, high = min(_growth(row, 1)), max(_growth(row, 1))
    note = f"exact FLOPs per token are {low:.2f} to {high:.2f} times the formula: bounded, as O() promises"
    return fields | {"verdict": "match" if high < 3 else "misprint", "note": note}
