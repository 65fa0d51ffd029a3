"""Learning rates that cannot suit the scale of a model's adapters, and the rate to try instead.

The scale of a layer's ``ΔW`` is compared with "lora", at which LoRA's learning rates work: with Adam, ΔW moves in
proportion to ``alpha`` times the rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import geometric_mean
from typing import NamedTuple

from torch import nn

from ..adapters import C3A, CDVFT
from ..adapters.experts import ExpertAdapters
from ..ops.scale import SCALES, described
from .layer import CirculantLayer

LORA_RATE = 1e-3  # a usual learning rate of LoRA with lora_alpha = r
TOO_LARGE = 0.1  # of a rate that is compared with LoRA's
TOO_SMALL = 0.01  # of a rate that is compared with those of PEFT's C3A, 0.1 to 1
# What else a rate that is too large for a named scale may call for.
ALTERNATIVES = {"lora": ', or alpha="paper" for a rate of PEFT\'s C3A'}
FORMULAS = {"lora": "ΔW = C(w) / sqrt(min(d_in, d_out) / b)", "paper": "ΔW = C(w) / d_in"}


class LayerScale(NamedTuple):
    """The scale of a trainable adapter on a layer.

    Attributes:
        text: its alpha and the name of the scale.
        names: the named scales that it equals.
        is_c3a: whether it is C3A, and not CDVFT.
        alpha: the absolute value of its alpha.
        speed: how fast ``ΔW`` moves, compared with the scale "lora".
    """

    text: str
    names: tuple[str, ...]
    is_c3a: bool
    alpha: float
    speed: float


def _trainable(model: nn.Module) -> Iterator[tuple[C3A | CDVFT, float]]:
    """Yield the settings of every adapter that trains, and its alpha."""
    for layer in model.modules():
        if not isinstance(layer, CirculantLayer):
            continue
        for adapter in layer.adapters.values():
            if any(p.requires_grad for p in adapter.parameters()):
                if isinstance(adapter, ExpertAdapters):
                    yield from ((one, adapter.alpha * one.alpha) for one in adapter.settings.values())
                else:
                    yield adapter, adapter.alpha


def layer_scales(model: nn.Module) -> list[LayerScale]:
    """Return the scales of all trainable adapters of a model, without those of alpha 0."""
    scales = []
    for adapter, alpha in _trainable(model):
        named = {name: adapter.alpha_of(name) for name in SCALES}
        names = tuple(name for name, value in named.items() if value == alpha)
        if alpha:
            speed = abs(alpha) / named["lora"]
            scales.append(LayerScale(described(adapter), names, isinstance(adapter, C3A), abs(alpha), speed))
    return scales


def rate_to_try(scales: list[LayerScale]) -> float:
    """Return the rate with which ``ΔW`` moves as fast as with "lora" at a usual rate of LoRA, 1e-3."""
    return LORA_RATE / geometric_mean(scale.speed for scale in scales)


def scale_text(scales: list[LayerScale]) -> str:
    """Return the scales as text: the name that all share, or the alpha of the first and the number of others."""
    for name in SCALES:
        if all(scale.names == (name,) for scale in scales):
            return f'alpha="{name}"'
    others = len({scale.text for scale in scales}) - 1
    return scales[0].text + (f" and {others} other{'s' * (others > 1)}" if others else "")


def rate_warning(scales: list[LayerScale], rate: float, usual: float | None = None) -> str | None:
    """Return a warning for a learning rate of Adam that cannot suit the scales of a model, or None.

    It is too large if ``ΔW`` moves as fast as with "lora" and a rate of 0.1 or more, and too small if it is C3A on a
    scale such as "paper" and ``ΔW`` moves as slowly as with "paper" and a rate below 0.01.

    Args:
        scales: from `layer_scales`.
        rate: the learning rate.
        usual: the rate to try, unless the warning would be the same for it; by default from `rate_to_try`.

    >>> from circpeft import C3AConfig, inject
    >>> model = inject(nn.Sequential(nn.Linear(384, 384)), C3AConfig(target_modules=["0"]))
    >>> rate_warning(layer_scales(model), 0.3)
    'learning_rate=0.3 is too large for alpha="lora" (ΔW = C(w) / sqrt(min(d_in, d_out) / b)); try 0.001, ...'
    """
    if not scales:
        return None
    text, is_c3a = scale_text(scales), all(scale.is_c3a for scale in scales)
    named = text.removeprefix('alpha="').removesuffix('"')
    if named in FORMULAS and is_c3a:
        text = f"{text} ({FORMULAS[named]})"
    fastest, largest = max(scale.speed for scale in scales), max(scale.alpha for scale in scales)
    # The last one suits layers whose scales are so far apart that their mean does not.
    candidates = [value for value in (usual, rate_to_try(scales), LORA_RATE / fastest) if value]
    if fastest * rate >= TOO_LARGE:
        other = ALTERNATIVES.get(named, "") if is_c3a else ""
        better = next(value for value in candidates if fastest * value < TOO_LARGE)
        return f"learning_rate={rate:g} is too large for {text}; try {better:.2g}{other}"
    if is_c3a and fastest <= 0.1 and largest * rate < TOO_SMALL:
        other = 'alpha="lora", at which LoRA\'s learning rates work'
        better = next((value for value in candidates if largest * value >= TOO_SMALL), max(candidates))
        return f"learning_rate={rate:g} is too small for {text}; try {better:.2g}, or {other}"
    return None
