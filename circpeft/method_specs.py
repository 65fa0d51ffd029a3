"""What the package knows about each method: how to apply it, what it trains, and its default learning rates.

A method is one `MethodSpec` in `SPECS`. The code that applies it is in `circpeft.methods` and is imported on first use,
so this module is light.

The papers print no learning rates. The rates here are ours. Those of full, head, LoRA and CDVFT, and of C3A at the
papers' scale of ΔW, come from runs of the embedded task with MiniLM; the others are of the order that the methods are
known for. C3A at its default scale has LoRA's rates. With 2e-3, LoRA and CDVFT each left one seed of three at chance
for all of three epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Real
from typing import Any

from .suggest import nearest

# With a head at 1e-3, C3A (b = d, papers' scale at 0.3, seed 1, three epochs, batches of 16) left role reversal at
# chance in three of four runs that differed only in details. A head at 3e-4 learns more slowly than the kernels.
HEAD_LEARNING_RATE = 3e-4


@dataclass(frozen=True)
class MethodSpec:
    """A fine-tuning method.

    Args:
        name: the name that recipes, commands and records use.
        function: dotted path of the function that makes a model trainable: ``function(model, **hyperparameters)``.
        trains: "adapter" (new parameters beside a frozen base model), "head", "part" (some of the model's own weights,
            and the head) or "all" (every weight).
        learning_rate: default peak rate of AdamW.
        model_rates: default rates for the small models that come with the course, by name; elsewhere ``learning_rate``.
        head_learning_rate: default peak rate of the head.
        model_head_rates: default rates of the head for those small models.
        paper_rates: default rates with ``alpha="paper"``, by name of a small model, and "" for every other model; empty
            for methods without a scale of ``ΔW``.
        quantization: the kinds of rounded base weights on which the method can train.
        callback: dotted path of a Trainer callback that the method needs; it is called with the model.
        no_fsdp: why FSDP cannot train the method, as the end of a sentence; "" where it can.
        permutable: its adapter can take the features of a layer in another order (the setting ``feature_order``).
    """

    name: str
    function: str
    trains: str
    learning_rate: float
    model_rates: Mapping[str, float] = field(default_factory=dict)
    head_learning_rate: float = HEAD_LEARNING_RATE
    model_head_rates: Mapping[str, float] = field(default_factory=dict)
    paper_rates: Mapping[str, float] = field(default_factory=dict)
    quantization: tuple[str, ...] = ("8bit", "4bit")
    callback: str = ""
    no_fsdp: str = ""
    permutable: bool = False

    @property
    def trains_adapter(self) -> bool:
        """Whether the base model stays frozen, and an adapter is saved instead of the whole model."""
        return self.trains == "adapter"

    @property
    def implementation(self) -> Callable[..., Any]:
        """The function behind `apply`, imported on first use."""
        return _resolve(self.function)

    def apply(self, model: Any, **hyperparameters: Any) -> Any:
        """Make a model trainable by this method, and return the model to train."""
        return self.implementation(model, **hyperparameters)

    def rates_for(self, model: str, alpha: float | str = "lora") -> tuple[float, float]:
        """Return the default peak rates of the method's parameters and of the head.

        Where the scale ``alpha`` of the method is a number, the rate is that of the papers' scale divided by it: ``ΔW``
        then moves as fast.

        >>> SPECS["lora"].rates_for("minilm"), SPECS["lora"].rates_for("small-llama")
        ((0.001, 0.0003), (0.01, 0.0003))
        >>> SPECS["c3a"].rates_for("minilm", alpha="paper"), SPECS["c3a"].rates_for("minilm", alpha=2)
        ((0.3, 0.0003), (0.15, 0.0003))
        >>> SPECS["cdvft"].rates_for("minilm", alpha=100)
        (1e-05, 0.0003)
        """
        rate = self.model_rates.get(model, self.learning_rate)
        if self.paper_rates and alpha != "lora":
            rate = self.paper_rates.get(model, self.paper_rates[""])
            if isinstance(alpha, Real) and alpha:
                rate /= abs(float(alpha))
        return rate, self.model_head_rates.get(model, self.head_learning_rate)

    def callbacks(self, model: Any) -> list[Any]:
        """Return the Trainer callbacks that the method needs on this model."""
        return [_resolve(self.callback)(model)] if self.callback else []


def _resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def get_spec(name: str) -> MethodSpec:
    """Return the spec of a method.

    Raises: ValueError for an unknown name, with the nearest one.

    >>> get_spec("c3a").trains
    'adapter'
    >>> get_spec("c3b")
    Traceback (most recent call last):
    ...
    ValueError: unknown method 'c3b'; did you mean 'c3a'? (choices: full, head, bitfit, ia3, ...)
    """
    if name not in SPECS:
        raise ValueError(f"unknown method {name!r}; {nearest(name, SPECS)}")
    return SPECS[name]


def reads_targets(name: str) -> bool:
    """Tell whether the target layers change what a method trains. Methods that this version does not know count too."""
    return name not in SPECS or SPECS[name].trains_adapter


class SpecView(Mapping[str, Any]):
    """One value of every spec, by the method's name. It follows changes of `SPECS`."""

    def __init__(self, read: Callable[[MethodSpec], Any]) -> None:
        self._read = read

    def __getitem__(self, name: str) -> Any:
        return self._read(SPECS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(SPECS)

    def __len__(self) -> int:
        return len(SPECS)


# Default rates for the small models, tried with seed 0 on validation (benchmarks/results/rates.md):
# - "minilm" (embedded pairs, three epochs): they may be too large for models with more or wider layers.
# - "small-vit" (digits, six epochs) and "small-llama" (word problems, five epochs; full fine-tuning three seeds) have a
#   thirtieth of MiniLM's size, and larger steps suit them. Each rate is the best of those tried, three times apart, or
#   within 0.02 of the best. C3A's were tried at the papers' scale (`paper_rates`); the others are LoRA's.
# - Heads of "small-vit": these methods end 0.02 to 0.09 higher on the digits with a head at 0.03 than at 3e-4. The
#   other adapters stay within 0.02 of what they have at 3e-4.
_METHODS = (
    MethodSpec(
        "full",
        "circpeft.methods.full_and_head.full",
        trains="all",
        learning_rate=5e-5,
        model_rates={"small-vit": 1e-3, "small-llama": 1e-3},
        head_learning_rate=5e-5,  # where the whole model trains, the head wants a rate of the same order
        model_head_rates={"small-vit": 1e-3, "small-llama": 1e-3},
        quantization=(),
    ),
    MethodSpec(
        "head",
        "circpeft.methods.full_and_head.head",
        trains="head",
        learning_rate=1e-3,
        model_rates={"minilm": 1e-2, "small-vit": 0.1, "small-llama": 1e-2},
        quantization=(),
    ),
    MethodSpec(
        "bitfit",
        "circpeft.methods.full_and_head.bitfit",
        trains="part",
        learning_rate=1e-3,
        model_rates={"minilm": 1e-2, "small-vit": 3e-2, "small-llama": 3e-2},
        model_head_rates={"small-vit": 3e-2},
        quantization=(),
    ),
    MethodSpec(
        "ia3",
        "circpeft.methods.baselines.ia3",
        trains="adapter",
        learning_rate=3e-3,
        model_rates={"minilm": 1e-2, "small-vit": 0.1, "small-llama": 0.1},
    ),
    MethodSpec(
        "lora",
        "circpeft.methods.baselines.lora",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"small-vit": 3e-3, "small-llama": 1e-2},
    ),
    MethodSpec(
        "dora",
        "circpeft.methods.baselines.dora",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"small-vit": 3e-3, "small-llama": 1e-2},
        quantization=("4bit",),  # PEFT 0.21's DoRA fails on layers of 8 bits
    ),
    MethodSpec(
        "vera",
        "circpeft.methods.baselines.vera",
        trains="adapter",
        learning_rate=1e-2,
        model_rates={"minilm": 3e-2, "small-vit": 3e-2, "small-llama": 3e-2},
    ),
    MethodSpec(
        "boft",
        "circpeft.methods.baselines.boft",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"minilm": 3e-3, "small-vit": 3e-2, "small-llama": 3e-2},
    ),
    MethodSpec(
        "fourierft",
        "circpeft.methods.baselines.fourierft",
        trains="adapter",
        learning_rate=3e-2,
        model_rates={"minilm": 0.1, "small-vit": 3e-2, "small-llama": 3e-2},
        model_head_rates={"small-vit": 3e-2},
    ),
    MethodSpec(
        "lamda",
        "circpeft.methods.lamda.lamda",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"minilm": 3e-3, "small-vit": 1e-2, "small-llama": 1e-2},
        callback="circpeft.methods.lamda.FreezeSecondProjections",
        no_fsdp="freezes parameters as it trains, and FSDP does not see it",
    ),
    MethodSpec(
        "c3a-peft",
        "circpeft.methods.baselines.c3a_peft",
        trains="adapter",
        learning_rate=0.3,
        model_rates={"small-vit": 0.2, "small-llama": 1.5},
        model_head_rates={"small-vit": 3e-2},
        quantization=(),  # PEFT 0.21's C3A fails on layers of 4 and 8 bits with a bias
    ),
    MethodSpec(
        "c3a",
        "circpeft.methods.circulant.c3a",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"small-vit": 3e-3, "small-llama": 1e-2},
        paper_rates={"": 0.3, "small-vit": 0.6, "small-llama": 1.5},
        permutable=True,
    ),
    MethodSpec(
        "cdvft",
        "circpeft.methods.circulant.cdvft",
        trains="adapter",
        learning_rate=1e-3,
        model_rates={"small-vit": 1e-2, "small-llama": 2e-2},
        paper_rates={"": 1e-3, "small-vit": 1e-2, "small-llama": 2e-2},  # the same scale, at the default block size
        permutable=True,
    ),
)
SPECS: dict[str, MethodSpec] = {spec.name: spec for spec in _METHODS}
LEARNING_RATES = SpecView(lambda spec: spec.learning_rate)
