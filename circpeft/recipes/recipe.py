"""What a run is: task, model, method and settings, as one frozen value."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace

from ..method_specs import HEAD_LEARNING_RATE, SPECS
from ..suggest import nearest

CHOICES = {
    "precision": ("float32", "bf16", "fp16"),
    "base_dtype": ("float32", "bfloat16", "float16"),
    "quantization": ("", "4bit", "8bit"),
}
# Fields that decide nothing about the outcome: they are no part of a recipe's identity.
OUTSIDE = {"output_dir", "report_to", "save_model", "table", "row", "column"}
# What a method's text may say beside its hyperparameters.
RATES = {"learning_rate", "head_learning_rate"}


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run.

    Args:
        task: name of a task.
        method: name of a method, see `circpeft.methods`.
        model: hub id, local folder, or "minilm".
        hyperparameters: of the method (block_size, r, ...), without its targets; ``learning_rate`` and
            ``head_learning_rate`` may be among them, so that a method's text can name its own.
        target_modules: names of the layers to adapt, a regex, or "all-linear".
        data_dir: local data folder; "" takes the embedded data or the hub.
        epochs, batch_size, max_length: as usual; sequences are padded to the longest of their batch, and a batch is
            that of all processes together.
        max_train, max_eval: rows used of train, and of validation and test; 0 takes all.
        learning_rate, head_learning_rate: peak rates of AdamW for the method's parameters and for the head; 0 takes the
            method's default.
        warmup: share of the steps with a rising rate; it falls linearly to zero afterwards.
        weight_decay: of AdamW.
        base_dropout: dropout probability of the base model, everywhere; None keeps the model's own.
        gradient_accumulation: batches that are summed for one step.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        precision: of the computation: "float32", or "bf16" or "fp16" by autocast.
        base_dtype: of the base model's weights, which ``full`` and ``bitfit`` train in it; adapters and a new head stay
            in float32.
        quantization: "4bit" or "8bit" base weights (bitsandbytes), or "" for none.
        deterministic: refuse operators whose result depends on the order in which a GPU adds up.
        max_new_tokens: longest answer that is generated for instructions; 0 takes the task's.
        seed: of the head's start, the dropout and the order of the data.
        save_model: keep the whole model of ``full``, ``head`` and ``bitfit`` (adapters are always kept); not part of
            the recipe's identity.
        report_to: a logger of transformers, such as "tensorboard", or "" for none; not part of the recipe's identity.
        output_dir: where the record, the adapter and the checkpoints go; not part of the recipe's identity.

    Raises: ValueError for a count or a rate that is out of range.

    >>> Recipe("entailment", "c3a", hyperparameters={"block_size": 64}).label
    'c3a:block_size=64'
    """

    task: str
    method: str
    model: str = "minilm"
    hyperparameters: dict = field(default_factory=dict)
    target_modules: tuple[str, ...] | str = ()
    data_dir: str = ""
    epochs: int = 3
    batch_size: int = 32
    max_length: int = 128
    max_train: int = 0
    max_eval: int = 0
    learning_rate: float = 0.0
    head_learning_rate: float = 0.0
    warmup: float = 0.06
    weight_decay: float = 0.0
    base_dropout: float | None = None
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    precision: str = "float32"
    base_dtype: str = "float32"
    quantization: str = ""
    deterministic: bool = False
    max_new_tokens: int = 0
    seed: int = 0
    save_model: bool = True
    report_to: str = ""
    output_dir: str = "runs"

    def __post_init__(self) -> None:
        if not isinstance(self.target_modules, (str, list, tuple, set, frozenset)):
            raise ValueError(f"target_modules must be a text or a list of names, got {self.target_modules!r}")
        if not isinstance(self.target_modules, str):
            object.__setattr__(self, "target_modules", tuple(self.target_modules))
        least_of = {"epochs": 1, "batch_size": 1, "max_length": 8, "max_train": 0, "max_eval": 0, "seed": 0}
        least_of |= {"gradient_accumulation": 1, "max_new_tokens": 0}
        for name, least in least_of.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {getattr(self, name)!r}")
        for name in ("task", "method", "model", "data_dir", "report_to", "output_dir"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text, got {getattr(self, name)!r}")
        for name in ("gradient_checkpointing", "deterministic", "save_model"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        for name in ("learning_rate", "head_learning_rate", "weight_decay", "warmup", "base_dropout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                raise ValueError(f"{name} must be a number, got {value!r}")
            if value is None and name != "base_dropout":
                raise ValueError(f"{name} must be a number, got None")
        for name in ("learning_rate", "head_learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)!r}")
        if self.base_dropout is not None and not 0 <= self.base_dropout < 1:
            raise ValueError(f"base_dropout must be in [0, 1) or None, got {self.base_dropout!r}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps in [0, 1), got {self.warmup!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; {nearest(getattr(self, name), choices)}")
        for name in RATES & set(self.hyperparameters):
            value = self.hyperparameters[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} of method {self.method!r} must be a positive number, got {value!r}")

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of the method's parameters and of the head."""
        own = self.hyperparameters
        spec = SPECS.get(self.method)
        default_rate, default_head_rate = spec.rates_for(self.model) if spec else (0.0, HEAD_LEARNING_RATE)
        rate = own.get("learning_rate") or self.learning_rate or default_rate
        if not rate:
            raise ValueError(f"no learning_rate for method {self.method!r}; {nearest(self.method, SPECS)}")
        head_rate = own.get("head_learning_rate") or self.head_learning_rate
        if spec and spec.trains == "head":  # its only rate is the head's, under whichever name it is given
            return (head_rate or rate,) * 2
        return rate, head_rate or default_head_rate

    @property
    def options(self) -> dict:
        """The hyperparameters that the method itself takes: without the learning rates."""
        return {name: value for name, value in self.hyperparameters.items() if name not in RATES}

    @property
    def label(self) -> str:
        """The method with its hyperparameters, as `recipes.parse_method` reads it."""
        return ":".join([self.method, *(f"{name}={value}" for name, value in sorted(self.hyperparameters.items()))])

    @property
    def settings(self) -> dict:
        """Everything that decides the outcome, as plain values."""
        settings = {name: value for name, value in asdict(self).items() if name not in OUTSIDE}
        settings["learning_rate"], settings["head_learning_rate"] = self.rates
        return json.loads(json.dumps(settings))

    @property
    def name(self) -> str:
        """File name of the run: task, method, seed, and a fingerprint of all settings."""
        fingerprint = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:10]
        label = "".join(c if c.isalnum() else "-" for c in self.label)
        return f"{self.task}-{label}-s{self.seed}-{fingerprint}"

    def with_seed(self, seed: int) -> Recipe:
        """The same recipe with another seed."""
        return replace(self, seed=seed)


@dataclass(frozen=True)
class CellRecipe(Recipe):
    """A recipe that stands for one cell of a table: a row and a column of it.

    Args:
        table: the table's name, such as "cdvft-1"; "" in a sweep of one's own.
        row: the row as it is printed, such as "CDVFT p=768".
        column: the column as it is printed, or the task that stands in for it.
    """

    table: str = ""
    row: str = ""
    column: str = ""
