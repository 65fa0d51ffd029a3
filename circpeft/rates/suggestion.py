"""A learning rate to begin with, and the reasons for it, from the shapes of a model's layers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .. import methods
from ..learning_rates import SCALED, Step, check_rate, lora_step, scale_of_change, step_of_change
from ..method_specs import SPECS, get_spec
from ..methods.model import Parameters, Targets
from ..models import INSTALLED, SHIPPED
from ..ops.block_size import dividing_block_size, padding_block_size
from .reasons import reasons_for
from .shapes import Model, Shape, adapted_shapes, name_of

APART = 3  # rates of a search are three times apart, as in the package's own searches
LORA_RANK = 8
TRIED = {*INSTALLED, *SHIPPED}  # the models on which the rates of method_specs were tried


@dataclass(frozen=True)
class LayerStep:
    """How far one step of Adam at the suggested rate moves ``ΔW`` of the layers of one shape.

    Attributes:
        d_in, d_out, count: the shape, and how many adapted layers have it.
        block_size: ``b``; 0 for LoRA.
        scale: ``s`` in ``ΔW = s C(w)``; for LoRA ``alpha / r``.
        step: the step, see `circpeft.learning_rates.Step`.
        lora: the step of LoRA with rank 8 and alpha 8 at its own rate.
        rates: the rate that moves ΔW of this layer as ``alpha="lora"`` does, by the name of the scale: "lora" and
            "paper", and "given" for the alpha that was given. Empty for LoRA.
    """

    d_in: int
    d_out: int
    count: int
    block_size: int
    scale: float
    step: Step
    lora: Step
    rates: dict[str, float]


@dataclass(frozen=True)
class Suggestion:
    """A learning rate to begin with.

    Attributes:
        model, method: their names.
        alpha: the scale of ΔW, for methods that have one; else None.
        rate: the peak rate of AdamW for the method's parameters.
        head_rate: that of the head.
        interval: the smallest and the largest rate worth trying.
        lora_rate: LoRA's rate for the model, with which the steps are compared.
        layers: the steps of ΔW by shape of layer; empty for methods without a formula.
        reasons: sentences that explain the rate.
    """

    model: str
    method: str
    alpha: float | str | None
    rate: float
    head_rate: float
    interval: tuple[float, float]
    lora_rate: float
    layers: tuple[LayerStep, ...]
    reasons: tuple[str, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """Five rates to try, three times apart, around the suggested one."""
        return tuple(rounded(self.rate * APART**power) for power in range(-2, 3))

    @property
    def text(self) -> str:
        """The suggestion and its reasons, as lines of text."""
        low, high = self.interval
        head = (
            f"{self.method} on {self.model}: begin with {self.rate:g}, head {self.head_rate:g}; try {low:g} to {high:g}"
        )
        return "\n".join([head, *(f"- {reason}" for reason in self.reasons)])

    def to_dict(self) -> dict[str, Any]:
        """Return the suggestion as values that JSON can hold."""
        layers = [
            {**asdict(layer), "step": layer.step._asdict(), "lora": layer.lora._asdict()} for layer in self.layers
        ]
        return {**asdict(self), "rates": self.rates, "layers": layers}


def suggest(
    model: Model,
    method: str = "c3a",
    *,
    target_modules: Targets = None,
    target_parameters: Parameters = None,
    lora_rate: float | None = None,
    **hyperparameters: Any,
) -> Suggestion:
    """Suggest a learning rate for a method on a model, from the shapes of the layers; nothing is trained.

    With ``alpha="lora"`` the rate is LoRA's. With another scale s it is LoRA's times ``s_lora / s``, so that ``ΔW``
    moves as fast; where layers ask for different rates, it is their geometric mean.

    Args:
        model: a module without adapters, a transformers config, a folder with a config.json, a hub id, an embedded
            model ("minilm", "small-vit", "small-llama"), or a model of `circpeft.costs.MODELS`.
        method: a method of `circpeft.methods`.
        target_modules: the layers to adapt; by default those of the course for its models, else all linear layers.
        target_parameters: fused experts to adapt, for methods that can. Every expert counts as a layer.
        lora_rate: a rate at which LoRA (alpha = r) trains this model well, if you know one; C3A and CDVFT keep it.
        hyperparameters: those of the method, such as ``block_size`` and ``alpha``.

    Raises: ValueError for an unknown method, hyperparameter, target or block size, with the nearest choice, or for a
    rate that is not positive; FileNotFoundError for a model that does not exist.

    >>> suggest("roberta-base", "c3a", target_modules=["query", "value"]).rate
    0.001
    >>> suggest("roberta-base", "c3a", target_modules=["query", "value"], alpha="paper").rate
    0.77
    """
    experts = list(target_parameters or ())
    methods.check(method, hyperparameters | ({"target_parameters": experts} if experts else {}))
    spec = get_spec(method)
    name = name_of(model)
    known_lora_rate = SPECS["lora"].rates_for(name)[0] if lora_rate is None else check_rate(lora_rate)
    layers: list[tuple[Shape, int]] = []
    if spec.trains_adapter:
        shapes = adapted_shapes(model, target_modules, experts)
        layers = [(shape, _block(method, shape, hyperparameters)) for shape in shapes]
    alpha = hyperparameters.get("alpha", "paper" if method == "c3a-peft" else "lora") if method in SCALED else None
    if alpha == 0:
        raise ValueError("alpha=0 leaves ΔW at zero, whatever the rate; give another number, 'lora' or 'paper'")
    default, head_rate = spec.rates_for(name, "lora" if alpha is None else alpha)
    rate, source = default, _source_of_default(name, method, alpha)
    if method in SCALED:
        in_lora_scale = SPECS["cdvft" if method == "cdvft" else "c3a"].rates_for(name)[0]
        in_lora_scale = in_lora_scale if lora_rate is None else known_lora_rate
        asked = [_equivalents(method, shape, b, alpha, in_lora_scale) for shape, b in layers]
        measured = name in TRIED and hyperparameters.get("block_size", "auto") == "auto" and lora_rate is None
        if alpha == "lora":
            rate = in_lora_scale
            source = source if lora_rate is None else "the rate that you gave for LoRA"
        elif not measured:
            rate = _mean([rates["given"] for rates in asked], [shape.count for shape, _ in layers])
            source = "computed from the layers' shapes"
    elif method in ("lora", "dora") and lora_rate is not None:
        rate, source = known_lora_rate, "the rate that you gave"
    rate = rounded(rate)
    steps = [
        LayerStep(
            *shape,
            block_size=b,
            scale=_scale(method, shape, b, alpha, hyperparameters),
            step=_step(method, shape, b, alpha, rate, hyperparameters),
            lora=lora_step(shape.d_in, shape.d_out, LORA_RANK, LORA_RANK, known_lora_rate),
            rates=_equivalents(method, shape, b, alpha, in_lora_scale) if method in SCALED else {},
        )
        for shape, b in layers
        if method in (*SCALED, "lora", "dora") and hyperparameters.get("num_factors", 3) > 1
    ]
    interval = (rounded(rate / APART**2), rounded(rate * APART**2))
    reasons = reasons_for(spec, alpha, rate, source, rounded(default), known_lora_rate, steps)
    return Suggestion(name, method, alpha, rate, head_rate, interval, known_lora_rate, tuple(steps), tuple(reasons))


def _source_of_default(name: str, method: str, alpha: float | str | None) -> str:
    """Return where the default rate of a method comes from, as the end of a sentence."""
    if name not in TRIED:
        return "the package's default for other models"
    if method == "c3a" and alpha == "lora":
        return f"LoRA's rate on {name}"
    best = f"the best of the rates tried on {name}"
    return best if alpha in (None, "lora", "paper") else f"{best} at the papers' scale, divided by alpha"


def rounded(rate: float) -> float:
    """Return a rate with two significant digits.

    >>> rounded(0.76801), rounded(1 / 900)
    (0.77, 0.0011)
    """
    return float(f"{rate:.2g}")


def _block(method: str, shape: Shape, hyperparameters: dict[str, Any]) -> int:
    if method not in SCALED:
        return 0
    function = padding_block_size if method == "cdvft" else dividing_block_size
    return function(hyperparameters.get("block_size", "auto"), shape.d_in, shape.d_out)


def _scale(method: str, shape: Shape, b: int, alpha: Any, hyperparameters: dict[str, Any]) -> float:
    if method in SCALED:
        return scale_of_change(method, shape.d_in, shape.d_out, b, alpha)
    r, alpha = _of_lora(hyperparameters)
    return alpha / r


def _step(method: str, shape: Shape, b: int, alpha: Any, rate: float, hyperparameters: dict[str, Any]) -> Step:
    if method in SCALED:
        return step_of_change(method, shape.d_in, shape.d_out, b, alpha, rate)
    return lora_step(shape.d_in, shape.d_out, *_of_lora(hyperparameters), rate)


def _of_lora(hyperparameters: dict[str, Any]) -> tuple[int, float]:
    """Return LoRA's rank and alpha, which is the rank unless it is given."""
    r = hyperparameters.get("r", LORA_RANK)
    alpha = hyperparameters.get("alpha")
    return r, r if alpha is None else alpha


def _equivalents(method: str, shape: Shape, b: int, alpha: Any, in_lora_scale: float) -> dict[str, float]:
    kind = "cdvft" if method == "cdvft" else "c3a"
    lora = scale_of_change(kind, shape.d_in, shape.d_out, b, "lora")
    scales = {"lora": "lora", "paper": "paper", "given": alpha}
    return {
        name: in_lora_scale * lora / abs(scale_of_change(kind, shape.d_in, shape.d_out, b, scale))
        for name, scale in scales.items()
    }


def _mean(rates: list[float], counts: list[int]) -> float:
    total = sum(count * math.log(rate) for rate, count in zip(rates, counts, strict=True))
    return math.exp(total / sum(counts))
