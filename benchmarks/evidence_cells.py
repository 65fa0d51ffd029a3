"""The training runs of benchmarks/evidence.py: the cells of each part, with their place in its tables.

Learning rates are fixed in advance, not tuned for each cell. LoRA, C3A and CDVFT have LoRA's rate on the model (C3A and
CDVFT at their default scale), because that rate suits all block sizes (docs/learning-rate-runs.md). Tuning each cell on
three seeds would favour the part with more cells. Full fine-tuning has its default rate on the model. In the part on
the wrong gradient, both methods have the papers' scale, the only one of PEFT's C3A, and the rate that moves ΔW as fast
as LoRA's rate does at the default scale; two multiples of it are a part of the question.

Every part tests one epoch of each run, once: the best on validation, but in the part on scarce data the last one. There
a choice among epochs by 537 validation rows would use more rows than the training.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cells

from circpeft import recipes
from circpeft.method_specs import SPECS

MODELS = {"entailment": "minilm", "word_problems": "small-llama", "digits": "small-vit"}
WIDTHS = {"entailment": 384, "word_problems": 128, "digits": 128}
LAYERS = {"entailment": 6, "digits": 4}
RATES = {"entailment": 1e-3, "word_problems": 1e-2, "digits": 3e-3}
# The head of MiniLM has the adapter's rate, as in benchmarks/one_rate.py. small-llama has no new head.
HEAD_RATES = {"entailment": 1e-3, "word_problems": 0.0, "digits": 3e-4}
SETTINGS = {"entailment": {"epochs": 2, "max_train": 3000}, "word_problems": {"epochs": 5}, "digits": {"epochs": 3}}
ROWS = {"entailment": 4000, "word_problems": 2000, "digits": 1611}  # of the whole training split

BLOCK_SIZES = {"entailment": (16, 48, 96, 192, 384), "word_problems": (8, 16, 32, 64, 128)}
# Layers with as many outputs as inputs: a single diagonal, m = 1, fits no others.
SQUARE = {
    "entailment": r".*attention\.(self\.(query|key|value)|output\.dense)",
    "word_problems": "q_proj,k_proj,v_proj,o_proj",
}
FACTORS = (1, 3, 5)
# The part on the order of features, with sizes of the part on block sizes.
ORDERED = {
    "entailment": ("c3a:block_size=384", "cdvft:block_size=384"),
    "word_problems": ("c3a:block_size=32", "cdvft:block_size=32"),
}
SCARCE = (100, 200, 400, 800, 1611)
SCARCE_STEPS, BATCH = 153, 32  # the steps of three epochs of all rows, whatever the number of rows
SCARCE_METHODS = ("full", "lora", "c3a", "cdvft")
# Depth, block size, and multiple of the rate: one of the three changes at a time.
WRONG = {
    "entailment": ((1, 384, 1.0), (2, 384, 1.0), (4, 384, 1.0), (6, 384, 1.0), (6, 64, 1.0)),
    "digits": (
        (1, 128, 1.0),
        (2, 128, 1.0),
        (4, 128, 1.0),
        (4, 32, 1.0),
        (4, 8, 1.0),
        (4, 128, 1 / 3),
        (4, 128, 3.0),
    ),
}
WRONG_SETTINGS = {"entailment": {"epochs": 1}, "digits": {"epochs": 3}}
LINEAR_NAMES = "query|key|value|dense|q_proj|k_proj|v_proj|o_proj|fc1|fc2"


@dataclass(frozen=True)
class Cell:
    """One run, and its place in the tables of its part.

    Attributes:
        recipe: the recipe.
        place: task, method and what the part varies, by name.
    """

    recipe: recipes.CellRecipe
    place: dict


def planned(part: str, folder: Path, seeds: int, smoke: bool = False) -> list[Cell]:
    """Return the runs of a part, seed by seed.

    Args:
        part: "block_size", "num_factors", "scarce_data", "feature_order" or "wrong_gradient".
        folder: where the records go.
        seeds: number of seeds.
        smoke: instead return the first and the last cell with one seed, one epoch and 32 rows.
    """
    if not smoke:
        return [cell for seed in range(seeds) for cell in PARTS[part](partial(_cell, folder=folder, seed=seed))]
    few = {"epochs": 1, "max_train": 32, "max_eval": 16}
    found = PARTS[part](partial(_cell, folder=folder, seed=0, limits=few))
    return [found[0], found[-1]]


def _cell(task, label, folder, seed, limits=None, rate=None, head_rate=None, place=None, **settings) -> Cell:
    method, options = recipes.parse_method(label)
    given = {**SETTINGS[task], **settings, **(limits or {})}
    rates = rate or RATES[task], HEAD_RATES[task] if head_rate is None else head_rate
    recipe = cells.cell(task, label, rates[0], seed, folder, head_rate=rates[1], **given)
    return Cell(recipe, {"task": task, "method": method, **options, **(place or {})})


def _block_size(cell) -> list[Cell]:
    return [
        cell(task, f"{method}:block_size={size}")
        for task, sizes in BLOCK_SIZES.items()
        for method in ("c3a", "cdvft")
        for size in sizes
    ]


def _num_factors(cell) -> list[Cell]:
    return [
        cell(task, f"cdvft:num_factors={number}", target_modules=targets, place={"m": (number + 1) // 2})
        for task, targets in SQUARE.items()
        for number in FACTORS
    ]


def scarce_epochs(rows: int) -> int:
    """Return the number of epochs that comes closest to the same number of steps for all numbers of rows.

    >>> [scarce_epochs(rows) for rows in SCARCE]
    [38, 22, 12, 6, 3]
    """
    return max(1, round(SCARCE_STEPS / -(-rows // BATCH)))


def _scarce_data(cell) -> list[Cell]:
    full = dict(zip(("rate", "head_rate"), SPECS["full"].rates_for(MODELS["digits"]), strict=True))
    return [
        cell(
            "digits",
            method,
            epochs=scarce_epochs(rows),
            max_train=rows,
            tested_epoch="last",
            place={"training_rows": rows},
            **(full if method == "full" else {}),
        )
        for rows in SCARCE
        for method in SCARCE_METHODS
    ]


def paper_rate(task: str, block_size: int) -> float:
    """Return the rate of C3A at the papers' scale that moves ΔW as fast as LoRA's rate at the default scale.

    >>> round(paper_rate("entailment", 384), 3), round(paper_rate("entailment", 64), 3)
    (0.384, 0.157)
    """
    width = WIDTHS[task]
    return RATES[task] * width / (width / block_size) ** 0.5


def upper_layers(task: str, depth: int) -> str:
    """Return a pattern of the linear layers in the last ``depth`` layers of the task's model.

    >>> import re
    >>> re.fullmatch(upper_layers("digits", 2), "vit.layers.2.attention.q_proj") is not None
    True
    >>> re.fullmatch(upper_layers("digits", 2), "vit.layers.1.attention.q_proj") is not None
    False
    """
    numbers = "|".join(str(layer) for layer in range(LAYERS[task] - depth, LAYERS[task]))
    return rf".*layers?\.(?:{numbers})\..*(?:{LINEAR_NAMES})"


def _wrong_gradient(cell) -> list[Cell]:
    return [
        cell(
            task,
            f"{method}:block_size={size}",
            rate=float(f"{paper_rate(task, size) * factor:.3g}"),
            head_rate=3e-4,
            max_train=0,
            target_modules=upper_layers(task, depth),
            place={"method": method.split(":")[0], "depth": depth, "factor": round(factor, 3)},
            **WRONG_SETTINGS[task],
        )
        for task, settings in WRONG.items()
        for depth, size, factor in settings
        for method in ("c3a:alpha=paper", "c3a-peft")
    ]


def _feature_order(cell) -> list[Cell]:
    # The setting is left out in natural order, so that its runs are those of the part on block sizes.
    return [
        cell(task, label, place={"order": order}, **settings)
        for task, labels in ORDERED.items()
        for label in labels
        for order, settings in (("natural", {}), ("permuted", {"feature_order": "permuted"}))
    ]


PARTS = {
    "block_size": _block_size,
    "feature_order": _feature_order,
    "num_factors": _num_factors,
    "scarce_data": _scarce_data,
    "wrong_gradient": _wrong_gradient,
}
