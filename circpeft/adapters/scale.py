"""The scale of ``ΔW``: a number, or the name of a scale that follows from the layer's shape."""

from __future__ import annotations

import math
from numbers import Real

from ..suggest import nearest

SCALES = ("lora", "paper")


def check_alpha(alpha: float | str) -> float | str:
    """Return a finite number as a float, and the name of a scale as it is.

    Raises: ValueError for anything else.

    >>> check_alpha(2), check_alpha("lora")
    (2.0, 'lora')
    """
    if isinstance(alpha, str) and alpha in SCALES:
        return str(alpha)
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not math.isfinite(alpha):
        hint = f"; {nearest(alpha, SCALES)}" if isinstance(alpha, str) else ""
        raise ValueError(f"alpha must be a finite number, 'lora' or 'paper', got {alpha!r}{hint}")
    return float(alpha)


def c3a_alpha(alpha: float | str, d_in: int, b: int) -> float:
    """Return the ``alpha`` of a C3A adapter as a number; ``ΔW = (alpha / d_in) * C(w)``.

    "lora" gives ``ΔW = C(w) / sqrt(n)`` with ``n = d_in / b`` blocks per row, so ``alpha = sqrt(d_in * b)``. Every
    output is then a sum of n blocks divided by the root of n, and one learning rate serves every width and block size.
    "paper" is 1, as in Hugging Face PEFT.

    Raises: what `check_alpha` raises.

    >>> c3a_alpha("lora", 768, 768), c3a_alpha("lora", 768, 192), c3a_alpha("paper", 768, 192), c3a_alpha(2, 768, 192)
    (768.0, 384.0, 1.0, 2.0)
    """
    alpha = check_alpha(alpha)
    return {"lora": math.sqrt(d_in * b), "paper": 1.0}.get(alpha, alpha)


def cdvft_alpha(alpha: float | str, d_in: int, b: int) -> float:
    """Return the ``alpha`` of a CDVFT adapter as a number; ``ΔW = alpha * A3 C A1``.

    "lora" is ``1 / sqrt(n)`` with ``n = ceil(d_in / b)`` blocks per row, as for C3A. "paper" is 1. For a single block
    per row both are the same.

    Raises: what `check_alpha` raises.

    >>> cdvft_alpha("lora", 768, 768), cdvft_alpha("lora", 768, 192), cdvft_alpha("paper", 768, 192)
    (1.0, 0.5, 1.0)
    """
    alpha = check_alpha(alpha)
    return {"lora": 1 / math.sqrt(math.ceil(d_in / b)), "paper": 1.0}.get(alpha, alpha)
