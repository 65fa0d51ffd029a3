"""How far one step of Adam moves a weight: formulas that compare the learning rates of C3A, CDVFT and LoRA.

Adam moves every trained number by about one learning rate a step, whatever the size of its gradient. So the rate sets
how fast ``ΔW`` moves, and the scale of ``ΔW`` and the layer's shape say how fast that is. The formulas are for the
first step from ``ΔW = 0``. As long as the signs of Adam's steps stay the same, t steps move t times as far.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .ops.scale import c3a_alpha, cdvft_alpha
from .suggest import nearest

SCALED = ("c3a", "cdvft", "c3a-peft")
# Mean absolute value of a normal variable, and standard deviation of LoRA's start A over its bound.
MEAN_SIZE, KAIMING = math.sqrt(2 / math.pi), math.sqrt(1 / 3)


class Step(NamedTuple):
    """The change of ``ΔW: (d_out, d_in)`` in one step of Adam.

    Attributes:
        entry: root mean square of its entries.
        norm: spectral norm if the signs of the step are random.
        coherent_norm: the largest spectral norm that the signs can give, for LoRA its mean over random A.
        along_gradient: how far the output of one input moves along its gradient, as a share of the gradient, if the
            entries of both are independent with variance 1.
    """

    entry: float
    norm: float
    coherent_norm: float
    along_gradient: float


def scale_of_change(method: str, d_in: int, d_out: int, b: int, alpha: float | str = "lora") -> float:
    """Return ``s`` in ``ΔW = s C(w)``.

    Formula: ``s = alpha / d_in`` for C3A (PEFT's has ``alpha = 1``), ``s = alpha`` for CDVFT at its start, where every
    factor but one is the identity. A named ``alpha`` stands for a number that depends on the shape and ``b``.

    Raises: ValueError for another method, or an alpha that is neither a finite number nor a named scale.

    >>> scale_of_change("c3a", 384, 384, 384), round(scale_of_change("c3a", 384, 384, 64), 3)
    (1.0, 0.408)
    >>> scale_of_change("c3a", 384, 384, 384, alpha="paper") == 1 / 384
    True
    """
    if method not in SCALED:
        raise ValueError(f"method {method!r} has no scale of ΔW; {nearest(method, SCALED)}")
    _check_sizes(d_in=d_in, d_out=d_out, b=b)
    if method == "cdvft":
        return cdvft_alpha(alpha, d_in, d_out, b)
    return (1.0 if method == "c3a-peft" else c3a_alpha(alpha, d_in, d_out, b)) / d_in


def paper_to_lora_factor(d_in: int, d_out: int, b: int) -> float:
    """Return the factor from a rate of C3A with ``alpha="paper"`` to the rate with "lora" that moves ``ΔW`` as fast.

    Formula: ``(1 / d_in) sqrt(k)`` with ``k = min(d_in, d_out) / b``. It depends on the width, so one rate with "paper"
    does not suit layers of different widths.

    Raises: ValueError for a size that is not a positive integer.

    >>> round(0.3 * paper_to_lora_factor(384, 384, 384), 5), round(0.15 * paper_to_lora_factor(384, 384, 64), 5)
    (0.00078, 0.00096)
    """
    return scale_of_change("c3a", d_in, d_out, b, "paper") / scale_of_change("c3a", d_in, d_out, b, "lora")


def step_of_change(method: str, d_in: int, d_out: int, b: int, alpha: float | str = "lora", rate: float = 1e-3) -> Step:
    """Return how far one step of Adam moves ``ΔW = s C(w)``, whose kernel has ``d_in d_out / b`` entries.

    Formulas, with the learning rate η:

    - entries: ``s η``, because every entry of ΔW is an entry of the kernel times s;
    - random signs: about ``s η (sqrt(d_in) + sqrt(d_out))``, whatever b, up to a slow logarithm (the largest of b/2
      frequencies);
    - equal signs: ``s η sqrt(d_in d_out)``, because all of it is in frequency 0;
    - along the gradient: ``sqrt(2/π) s η d_in / sqrt(b)``. A kernel entry follows the sign of a sum of b products, and
      the absolute values of ``d_in d_out / b`` such sums add up. Smaller blocks follow the gradient more closely.

    With ``alpha="lora"`` and square layers, ``s = sqrt(b / d_in)``, and the last one is ``sqrt(2/π) η sqrt(d_in)``,
    without b.

    Args:
        method: "c3a", "cdvft" (with at least three factors) or "c3a-peft".
        d_in, d_out: features of the layer.
        b: the block size.
        alpha: the scale of the method: a number, "lora" or "paper".
        rate: the learning rate η.

    Raises: ValueError for an unknown method, a size that is not a positive integer, or a rate that is not positive.

    >>> step = step_of_change("c3a", 384, 384, 384, rate=1e-3)
    >>> [round(value, 4) for value in step]
    [0.001, 0.0392, 0.384, 0.0156]
    """
    moved = abs(scale_of_change(method, d_in, d_out, b, alpha)) * check_rate(rate)
    return Step(
        entry=moved,
        norm=moved * (math.sqrt(d_in) + math.sqrt(d_out)),
        coherent_norm=moved * math.sqrt(d_in * d_out),
        along_gradient=MEAN_SIZE * moved * d_in / math.sqrt(b),
    )


def lora_step(d_in: int, d_out: int, r: int = 8, alpha: float = 8, rate: float = 1e-3) -> Step:
    """Return how far LoRA's first step moves ``ΔW = (alpha / r) B A``.

    A starts uniform with variance ``1 / (3 d_in)``, as in PEFT. B starts at zero, and its entries move by ±η; A's do
    not count in the first step.

    Formulas:

    - entries: ``(alpha / r) η sqrt(r / (3 d_in))``;
    - random signs of B: about ``(alpha / r) η (sqrt(d_out) + sqrt(r)) / sqrt(3)``;
    - B of rank one, as after a single input: ``(alpha / r) η sqrt(r d_out / 3)``;
    - along the gradient: ``(2/π) (alpha / r) η r / sqrt(3)``, whatever the width.

    Raises: ValueError for a size that is not a positive integer, or a rate that is not positive.

    >>> [round(value, 4) for value in lora_step(384, 384)]
    [0.0001, 0.0129, 0.032, 0.0029]
    """
    _check_sizes(d_in=d_in, d_out=d_out, r=r)
    moved = KAIMING * abs(alpha) / r * check_rate(rate)
    return Step(
        entry=moved * math.sqrt(r / d_in),
        norm=moved * (math.sqrt(d_out) + math.sqrt(r)),
        coherent_norm=moved * math.sqrt(r * d_out),
        along_gradient=MEAN_SIZE**2 * moved * r,  # mean sizes of an entry of A x, and of one of the gradient
    )


def check_rate(rate: float) -> float:
    """Return a learning rate as a float.

    Raises: ValueError unless it is a finite number above zero.

    >>> check_rate(0)
    Traceback (most recent call last):
    ...
    ValueError: a learning rate must be a finite number above 0, got 0; a usual one is 1e-3
    """
    number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
    if not number or not 0 < rate < math.inf:
        raise ValueError(f"a learning rate must be a finite number above 0, got {rate!r}; a usual one is 1e-3")
    return float(rate)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}")
