"""The scale of ``ΔW``: a number, or the name of a scale that follows from the layer's shape."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Protocol

from ..suggest import nearest

SCALES = ("lora", "paper")
NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?"  # a number that somebody put in quotes


class Scaled(Protocol):
    """An adapter with a scale."""

    alpha: float

    def alpha_of(self, scale: float | str) -> float:
        """Return the ``alpha`` of another scale, by name or number."""
        ...


def check_alpha(alpha: float | str) -> float | str:
    """Return a finite number as a float, and the name of a scale as it is.

    Raises: ValueError for anything else.

    >>> check_alpha(2), check_alpha("lora")
    (2.0, 'lora')
    """
    if isinstance(alpha, str) and alpha in SCALES:
        return str(alpha)
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not math.isfinite(alpha):
        raise ValueError(wrong_scale("alpha", alpha))
    return float(alpha)


def wrong_scale(field: str, value: object) -> str:
    """Return the error for a value that is neither a finite number nor the name of a scale.

    >>> wrong_scale("alpha", "LoRA")
    "alpha must be a finite number, 'lora' or 'paper', got 'LoRA'; did you mean 'lora'? (choices: lora, paper)"
    >>> wrong_scale("alpha", "1.0")
    "alpha must be a finite number, 'lora' or 'paper', got '1.0'; remove the quotes: alpha=1.0"
    """
    hint = f"choices: {', '.join(SCALES)}, or a number such as 1.0"
    if isinstance(value, str):
        quoted = re.fullmatch(NUMBER, value.strip())
        hint = f"remove the quotes: {field}={value.strip()}" if quoted else nearest(value.strip().lower(), SCALES)
    return f"{field} must be a finite number, 'lora' or 'paper', got {value!r}; {hint}"


def c3a_alpha(alpha: float | str, d_in: int, d_out: int, b: int) -> float:
    """Return the ``alpha`` of a C3A adapter as a number; ``ΔW = (alpha / d_in) * C(w)``.

    "lora" gives ``ΔW = C(w) / sqrt(k)``, where k is the number of blocks along the shorter side,
    ``k = min(d_in, d_out) / b``. With one block there, ``ΔW = C(w)``. At this scale, LoRA's learning rates work.
    "paper" is 1, as in Hugging Face PEFT.

    Raises: what `check_alpha` raises.

    >>> [c3a_alpha("lora", 768, 3072, b) for b in (768, 192)]
    [768.0, 384.0]
    >>> c3a_alpha("paper", 768, 3072, 192), c3a_alpha(2, 768, 3072, 192)
    (1.0, 2.0)
    """
    alpha = check_alpha(alpha)
    named = {"lora": d_in * _per_block(d_in, d_out, b), "paper": 1.0}
    return named[alpha] if isinstance(alpha, str) else alpha


def cdvft_alpha(alpha: float | str, d_in: int, d_out: int, b: int) -> float:
    """Return the ``alpha`` of a CDVFT adapter as a number; ``ΔW = alpha * A3 C A1``.

    "lora" is ``1 / sqrt(k)`` with ``k = ceil(min(d_in, d_out) / b)`` blocks along the shorter side, as for C3A. "paper"
    is 1. With the default block size both are the same.

    Raises: what `check_alpha` raises.

    >>> cdvft_alpha("lora", 768, 3072, 768), cdvft_alpha("lora", 768, 3072, 192), cdvft_alpha("paper", 768, 3072, 192)
    (1.0, 0.5, 1.0)
    """
    alpha = check_alpha(alpha)
    named = {"lora": _per_block(d_in, d_out, b), "paper": 1.0}
    return named[alpha] if isinstance(alpha, str) else alpha


def _per_block(d_in: int, d_out: int, b: int) -> float:
    return 1 / math.sqrt(math.ceil(min(d_in, d_out) / b))


def described(adapter: Scaled) -> str:
    """Return the scale of an adapter as text: its alpha, and every named scale that has this alpha on its layer.

    >>> from circpeft import C3A, CDVFT
    >>> described(C3A(768, 768, 192, alpha="lora")), described(C3A(768, 768, 192, alpha=2.0))
    ("alpha=384.0 ('lora')", 'alpha=2.0')
    >>> described(CDVFT(768, 768))
    "alpha=1.0 ('lora', 'paper')"
    """
    names = [repr(name) for name in SCALES if adapter.alpha == adapter.alpha_of(name)]
    return f"alpha={adapter.alpha}" + (f" ({', '.join(names)})" if names else "")
