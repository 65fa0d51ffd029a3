r"""The spread over seeds of C3A with one kernel per layer on the word problems, under single changes of the recipe.

    .venv/bin/python benchmarks/steadiness.py [--variants NAME ...] [--seeds 0 1 2 3 4]

Each variant changes one thing: the scale of ΔW, clipping, warm-up, Adam's beta2 or eps, weight decay, the rate, the
rates of single layers, or the number of epochs. A run takes about two minutes on one thread. A finished run is not
repeated, and an interrupted one continues from its last epoch. Writes a row per run to
benchmarks/results/steadiness.json as soon as it ends, and the part of docs/learning-rate-runs.md between the markers
"steadiness".
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import cells
import torch
from page_parts import Part
from steadiness_table import part_text
from transformers import TrainerCallback
from update_spectrum import UpdateSpectrum

from circpeft import C3A, files, results, training
from circpeft.adapters import c3a
from circpeft.ops.scale import c3a_alpha
from circpeft.recipes import Recipe
from circpeft.training import trainer
from circpeft.training.logging_filters import quiet

RECORD = results.ROOT / "benchmarks" / "results" / "steadiness.json"
ONE_RATE = RECORD.with_name("one_rate.json")
FOLDER = results.default_folder("steadiness")
PART = Part("steadiness", "docs/learning-rate-runs.md")
TASK = "word_problems"
RATE, PAPER_RATE = 1e-2, 1.5  # LoRA's rate of small-llama, and the tuned rate of the papers' scale


@dataclass(frozen=True)
class Variant:
    """One change of the recipe or of the optimizer.

    Args:
        change: what differs, for the table.
        method: the method without its scale, as `recipes.parse_method` reads it.
        alpha: scale of ΔW.
        rate: peak learning rate.
        settings: fields of `Recipe`.
        optimizer: options of AdamW's parameter groups, such as betas.
        clip: whether gradients are clipped to norm 1, as the Trainer does by default.
        layer_rates: "" for one rate; "lora", "paper" or "inputs" for the rates of single layers with which ΔW moves as
            with the variant's rate at that scale, although ``alpha`` is another one. "inputs" is C(w) / sqrt(d_in / b).
        inputs: whether "lora" is the scale C(w) / sqrt(d_in / b) itself.
    """

    change: str
    method: str = "c3a"
    alpha: str = "lora"
    rate: float = RATE
    settings: dict = field(default_factory=dict)
    optimizer: dict = field(default_factory=dict)
    clip: bool = True
    layer_rates: str = ""
    inputs: bool = False


VARIANTS = {
    "baseline": Variant('alpha="lora", rate 0.01'),
    "paper": Variant('alpha="paper", rate 1.5', alpha="paper", rate=PAPER_RATE),
    "paper-no-clipping": Variant('alpha="paper", rate 1.5, no clipping', alpha="paper", rate=PAPER_RATE, clip=False),
    "no-clipping": Variant("no clipping", clip=False),
    "warmup-0.2": Variant("warm-up 0.2 of the steps", settings={"warmup": 0.2}),
    "warmup-0": Variant("no warm-up", settings={"warmup": 0.0}),
    "beta2-0.95": Variant("beta2 0.95", optimizer={"betas": (0.9, 0.95)}),
    "beta2-0.95-b32": Variant("beta2 0.95, b = 32", "c3a:block_size=32", optimizer={"betas": (0.9, 0.95)}),
    "beta2-0.95-cdvft": Variant("beta2 0.95, CDVFT", "cdvft", optimizer={"betas": (0.9, 0.95)}),
    "weight-decay": Variant("weight decay 0.01", settings={"weight_decay": 0.01}),
    "half-rate": Variant("rate 0.005", rate=RATE / 2),
    "double-rate": Variant("rate 0.02", rate=RATE * 2),
    "ten-epochs": Variant("ten epochs", settings={"epochs": 10}),
    "ten-epochs-cdvft": Variant("ten epochs, CDVFT", "cdvft", settings={"epochs": 10}),
    "paper-half-rate": Variant('alpha="paper", rate 0.75', alpha="paper", rate=PAPER_RATE / 2),
    "paper-small-eps": Variant(
        'alpha="paper", rate 1.5, eps 1e-12', alpha="paper", rate=PAPER_RATE, optimizer={"eps": 1e-12}
    ),
    # ΔW of every layer moves as at the other scale; what remains is the size of the gradients: clipping and eps.
    "paper-as-lora": Variant(
        'alpha="paper", rates of the layers as "lora"', alpha="paper", rate=RATE, layer_rates="lora"
    ),
    "lora-as-paper": Variant('alpha="lora", rates of the layers as "paper"', rate=PAPER_RATE, layer_rates="paper"),
    # The same scale but for the layers with more inputs than outputs.
    "inputs": Variant("rates of the layers as with C(w) / sqrt(d_in / b)", layer_rates="inputs"),
    # For Adam the same as "inputs", but for rounding, clipping and eps: how much of the spread is chance?
    "inputs-scale": Variant("the scale C(w) / sqrt(d_in / b)", inputs=True),
}


def planned(name: str, seed: int, folder: Path, **settings) -> Recipe:
    """Return the recipe of a run. Variants that differ in the optimizer have the same recipe, so each has a folder."""
    variant = VARIANTS[name]
    label = variant.method if variant.alpha == "lora" else f"{variant.method}:alpha={variant.alpha}"
    return cells.cell(TASK, label, variant.rate, seed, folder / name, **{**variant.settings, **settings})


def by_inputs(alpha: float | str, d_in: int, d_out: int, b: int) -> float:
    """Return alpha as `c3a_alpha` does, but for "lora" that of ``ΔW = C(w) / sqrt(d_in / b)``.

    >>> by_inputs("lora", 96, 32, 24), by_inputs("paper", 96, 32, 24)
    (48.0, 1.0)
    """
    return (d_in * b) ** 0.5 if alpha == "lora" else c3a_alpha(alpha, d_in, d_out, b)


def layer_rate(adapter: C3A, variant: Variant) -> float:
    """Return the rate of one layer with which its ΔW moves as with the variant's rate at the scale ``layer_rates``.

    A step of Adam moves ΔW in proportion to the rate times alpha.
    """
    shape = adapter.d_in, adapter.d_out, adapter.block_size
    of_inputs = variant.layer_rates == "inputs"
    wanted = by_inputs("lora", *shape) if of_inputs else c3a_alpha(variant.layer_rates, *shape)
    return variant.rate * wanted / adapter.alpha


def optimizer_of(variant: Variant, make: Callable) -> Callable:
    """Return the function that makes the optimizer of a run, with the variant's options and rates of layers."""

    def changed(recipe: Recipe, model: torch.nn.Module, head: list[str]) -> torch.optim.Optimizer:
        optimizer = make(recipe, model, head)
        if variant.layer_rates:
            adapters = [module for module in model.modules() if isinstance(module, C3A)]
            kernels = {id(adapter.kernel): adapter for adapter in adapters}
            trained = [p for group in optimizer.param_groups for p in group["params"]]
            if unknown := len([p for p in trained if id(p) not in kernels]):
                raise ValueError(f"expected only kernels of C3A among the trained parameters, got {unknown} others")
            groups = [{"params": [p], "lr": layer_rate(kernels[id(p)], variant)} for p in trained]
            optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        for group in optimizer.param_groups:
            group.update(variant.optimizer)
        return optimizer

    return changed


class Clipping(TrainerCallback):
    """Switches clipping off if asked to, and notes the norms of the gradients that the Trainer logs."""

    def __init__(self, clip: bool) -> None:
        self.clip, self.norms = clip, []

    def on_train_begin(self, args, state, control, **_) -> None:
        if not self.clip:
            args.max_grad_norm = 0.0

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if logs and logs.get("grad_norm") is not None:
            self.norms.append(float(logs["grad_norm"]))


def run(name: str, seed: int, folder: Path = FOLDER, **settings) -> dict:
    """Train one run, or read its record, and return its row."""
    variant, recipe = VARIANTS[name], planned(name, seed, folder, **settings)
    clipping, updates = Clipping(variant.clip), UpdateSpectrum()
    scale = patch.object(c3a, "c3a_alpha", by_inputs) if variant.inputs else contextlib.nullcontext()
    with scale, patch.object(trainer, "_optimizer", optimizer_of(variant, trainer._optimizer)):
        result = training.run(recipe, callbacks=[clipping, updates])
    return {
        "variant": name,
        "seed": seed,
        "score": result.score,
        "test_score": result.test_score,
        "epochs": result.epochs,
        "losses": [round(entry["loss"], 4) for entry in result.losses],
        # Both are empty for a run that was read. Without clipping the Trainer computes no norm.
        "updates": updates.rows,
        "gradient_norms": [round(norm, 5) for norm in clipping.norms],
        "learning_rate": variant.rate,
        "settings": {
            "method": variant.method,
            "alpha": variant.alpha,
            "clip": variant.clip,
            "layer_rates": variant.layer_rates,
            "inputs": variant.inputs,
        },
        "rows": result.rows,
        "device": result.device,
        "versions": result.versions,
        "commit": result.commit,
        "code": result.code,
    }


def changes() -> dict[str, str]:
    """Return what each variant changes, by its name."""
    return {name: variant.change for name, variant in VARIANTS.items()}


def others(record: Path = ONE_RATE) -> list[dict]:
    """Return the runs of other methods and block sizes with the same rate and recipe."""
    rows = json.loads(record.read_text(encoding="utf-8"))
    return [row for row in rows if row["task"] == TASK and row["rates"] == "one rate" and row["method"] != "c3a"]


def sort_key(row: dict) -> tuple:
    """Return the identity of a row, which is also its place in the record."""
    return list(VARIANTS).index(row["variant"]), row["seed"]


def main(argv: list[str] | None = None, record: Path = RECORD, folder: Path = FOLDER, **settings) -> None:
    """Run what the record lacks, and write the record and the table. ``settings`` are fields of `Recipe`."""
    parser = argparse.ArgumentParser(description="Measure the spread over seeds under single changes of the recipe.")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args(argv)
    quiet()
    folder.mkdir(parents=True, exist_ok=True)
    rows = {sort_key(row): row for row in json.loads(record.read_text(encoding="utf-8"))} if record.exists() else {}
    wanted = [(name, seed) for seed in arguments.seeds for name in arguments.variants]
    # A run of earlier training code is repeated.
    current = {key for key, row in rows.items() if row["code"] == results.code_version()}
    missing = [cell for cell in wanted if sort_key({"variant": cell[0], "seed": cell[1]}) not in current]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them on record", flush=True)
    started = time.perf_counter()
    for number, (name, seed) in enumerate(missing, 1):
        with (folder / "training.log").open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            row = run(name, seed, folder, **settings)
        rows[sort_key(row)] = row
        files.write_atomically(record, json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n")
        minutes = (time.perf_counter() - started) / number * (len(missing) - number) / 60
        print(f"{name}, seed {seed}: test {row['test_score']:.3f}; about {minutes:.0f} minutes left", flush=True)
    text = part_text([rows[key] for key in sorted(rows)], others(), changes())
    print(text)
    if record == RECORD:
        PART.write(text)


if __name__ == "__main__":
    main()
