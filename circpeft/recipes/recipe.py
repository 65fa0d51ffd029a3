"""The recipe of a run: task, model, method and settings, as one frozen value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from ..files import expanded
from ..method_specs import HEAD_LEARNING_RATE, SPECS
from ..suggest import nearest
from .checks import FLOATS, RATES, check

# Fields that do not influence the outcome; they are not part of a recipe's identity.
NOT_IDENTITY = {"output_dir", "report_to", "save_model", "weight_changes", "table", "row", "column"}
ADAM_BETA2 = 0.999  # torch's default
# Fields that `settings` leaves out at these values: a recipe that does not name them is the same run as before.
UNNAMED = {
    "target_parameters": (),
    "tested_epoch": "best",
    "hold_out": True,
    "adam_beta2": ADAM_BETA2,
    "chat_template": "auto",
    "feature_order": "natural",
    "generation_batch_size": 0,
}
# Bytes of a run's name. Its files and folders add up to 40.
LONGEST_NAME = 200


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    ``save_model``, ``weight_changes``, ``report_to`` and ``output_dir`` do not influence the outcome. The other fields
    are the recipe's identity: two recipes with the same values are the same run.

    Args:
        task: name of a task.
        method: name of a method, see `circpeft.methods`.
        model: hub id, local folder, GGUF file, or an embedded model: "minilm", "smollm2", "small-vit" or "small-llama".
        hyperparameters: hyperparameters of the method (block_size, r, ...), without its targets. ``learning_rate`` and
            ``head_learning_rate`` may be among them, as in "c3a:learning_rate=0.1".
        target_modules: names of the layers to adapt, a regular expression, or "all-linear".
        target_parameters: names of fused experts to adapt, for methods that can: lora, c3a and cdvft.
        data_dir: local data folder; "" takes the embedded data or the hub.
        epochs: number of passes over the training rows.
        tested_epoch: the epoch that is scored on test: the "best" on validation, or the "last".
        hold_out: whether rows are held out for validation where no validation split is published. With False, all rows
            of train are trained on; this needs ``tested_epoch="last"``. See `tasks.splits.three_splits`.
        batch_size: rows of a batch, over all processes together.
        max_length: tokens of the longest sequence. Sequences are padded to the longest of their batch, in half
            precision to the next multiple of 16.
        max_train: number of training rows used; 0 takes all.
        max_eval: number of rows used of validation and of test; 0 takes all.
        learning_rate: peak rate of AdamW for the method's parameters; 0 takes the method's default.
        head_learning_rate: the same for the head.
        warmup: share of the steps in which the rate rises; it falls linearly to zero afterwards.
        weight_decay: weight decay of AdamW.
        adam_beta2: beta2 of AdamW, which averages the squares of the gradients over about ``1 / (1 - beta2)`` steps.
        base_dropout: probability of all dropouts in the base model; None keeps the model's own.
        gradient_accumulation: number of batches for one step.
        gradient_checkpointing: whether to recompute activations in the backward pass instead of keeping them.
        precision: number format of the computation: "float32", or "bf16" or "fp16" by autocast.
        base_dtype: number format of the base model's weights. ``full`` and ``bitfit`` train the weights in this format;
            adapters and a new head stay in float32.
        quantization: "4bit" or "8bit" base weights (bitsandbytes), or "" for none.
        deterministic: whether to refuse operators with a result that depends on the order of sums on a GPU.
        max_new_tokens: length of the longest generated answer to an instruction; 0 takes the task's.
        generation_batch_size: prompts that are answered at a time, over all processes together; 0 takes four times
            ``batch_size``.
        chat_template: whether prompts are in the model's chat template; "auto" uses it if the model has one.
        feature_order: "natural", or "permuted" to apply the structure of C3A and CDVFT to each layer's features in a
            random order, drawn by the seed. It is for comparisons: such a run saves no adapter.
        seed: seed of the new head, the dropout and the order of the rows.
        save_model: whether to keep the whole model of ``full``, ``head`` and ``bitfit``. Adapters are always kept.
        weight_changes: whether to record ``ΔW`` of three layers after each epoch, as small heat maps and singular
            values in a file beside the record. It does not change the training.
        report_to: a logger of transformers, such as "tensorboard", or "" for none.
        output_dir: folder of the record, the trained weights and the checkpoints.

    Raises: ValueError for a value of a wrong type or out of range.

    >>> Recipe("entailment", "c3a", hyperparameters={"block_size": 64}).label
    'c3a:block_size=64'
    """

    task: str
    method: str
    model: str = "minilm"
    hyperparameters: dict = field(default_factory=dict)
    target_modules: tuple[str, ...] | str = ()
    target_parameters: tuple[str, ...] = ()
    data_dir: str = ""
    epochs: int = 3
    tested_epoch: str = "best"
    hold_out: bool = True
    batch_size: int = 32
    max_length: int = 128
    max_train: int = 0
    max_eval: int = 0
    learning_rate: float = 0.0
    head_learning_rate: float = 0.0
    warmup: float = 0.06
    weight_decay: float = 0.0
    adam_beta2: float = ADAM_BETA2
    base_dropout: float | None = None
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    precision: str = "float32"
    base_dtype: str = "float32"
    quantization: str = ""
    deterministic: bool = False
    max_new_tokens: int = 0
    generation_batch_size: int = 0
    chat_template: bool | str = "auto"
    feature_order: str = "natural"
    seed: int = 0
    save_model: bool = True
    weight_changes: bool = True
    report_to: str = ""
    output_dir: str = "runs"

    def __post_init__(self) -> None:
        check(self)
        # Values that are written in several ways become one, so that they have one name.
        for name in ("target_modules", "target_parameters"):
            value = getattr(self, name)
            if not isinstance(value, str):  # a set has another order in every process
                value = tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)
                object.__setattr__(self, name, value)
        for name in ("model", "data_dir", "output_dir"):
            object.__setattr__(self, name, expanded(getattr(self, name)))
        for name in FLOATS:
            value = getattr(self, name)
            object.__setattr__(self, name, value if value is None else float(value))

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of the method's parameters and of the head.

        Raises: ValueError for a method without a default rate, if none is given.
        """
        given = self.hyperparameters
        spec = SPECS.get(self.method)
        default_rate, default_head_rate = 0.0, HEAD_LEARNING_RATE
        if spec:
            default_rate, default_head_rate = spec.rates_for(self.model, given.get("alpha", "lora"))
        rate = given.get("learning_rate") or self.learning_rate or default_rate
        if not rate:
            raise ValueError(f"no learning_rate for method {self.method!r}; {nearest(self.method, SPECS)}")
        head_rate = given.get("head_learning_rate") or self.head_learning_rate
        if spec and spec.trains == "head":  # only the head trains, so either of the two is its rate
            return (head_rate or rate,) * 2
        return rate, head_rate or default_head_rate

    @property
    def usual_rate(self) -> float | None:
        """Default peak rate of the method's parameters, for its scale and this model; None for an unknown method."""
        spec = SPECS.get(self.method)
        return spec.rates_for(self.model, self.hyperparameters.get("alpha", "lora"))[0] if spec else None

    @property
    def options(self) -> dict:
        """The hyperparameters of the method itself, without learning rates."""
        return {name: value for name, value in self.hyperparameters.items() if name not in RATES}

    @property
    def label(self) -> str:
        """The method with its hyperparameters, as `recipes.parse_method` reads it."""
        return ":".join([self.method, *(f"{name}={value}" for name, value in sorted(self.hyperparameters.items()))])

    @property
    def settings(self) -> dict:
        """All fields that influence the outcome, as plain values."""
        settings = {name: value for name, value in asdict(self).items() if name not in NOT_IDENTITY}
        for name, value in UNNAMED.items():
            if getattr(self, name) == value:
                del settings[name]
        settings["learning_rate"], settings["head_learning_rate"] = self.rates
        return json.loads(json.dumps(settings))

    @property
    def name(self) -> str:
        """Name of the run, also of its files: task, method, seed, and a hash of all settings.

        A long one is cut before the seed, because a file name has at most 255 bytes.
        """
        settings_hash = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:10]
        label = "".join(c if c.isalnum() else "-" for c in self.label)
        end = f"-s{self.seed}-{settings_hash}"
        start = f"{self.task}-{label}".encode()[: LONGEST_NAME - len(end)].decode(errors="ignore")
        return start + end

    def with_seed(self, seed: int) -> Recipe:
        """Return the same recipe with another seed."""
        return replace(self, seed=seed)


@dataclass(frozen=True)
class CellRecipe(Recipe):
    """The recipe of one cell of a table.

    Args:
        table: name of the table, such as "cdvft-1"; "" for a sweep from a file.
        row: the row as it is printed, such as "CDVFT p=768".
        column: the column as it is printed, or the task that replaces it.
    """

    table: str = ""
    row: str = ""
    column: str = ""
