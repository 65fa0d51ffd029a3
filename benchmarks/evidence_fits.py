"""How much of a real ΔW each adapter can represent: the fits of benchmarks/evidence.py.

Full fine-tuning of a model gives a ΔW for each linear layer. It is fitted by a block-circulant matrix (C3A), by
``A3 C A1`` (CDVFT) and by a matrix of low rank (LoRA) with as many parameters as each of the two; see `circpeft.fits`.
Every form represents a part of any matrix, so each ΔW has three controls of its shape:

- "gaussian": independent normal entries;
- "singular values": the singular values of ΔW with random singular vectors, so low rank fits it as well as ΔW;
- "permuted": ΔW with its rows and columns in random order, which changes nothing but their order.

The finding is the excess of ΔW over a control: the mean over layers, with its standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from evidence_fit_claims import GAUSSIAN, PERMUTED, UPDATE, VALUES
from evidence_fit_claims import comparisons as comparisons  # what benchmarks/evidence.py calls of each part's module
from evidence_fit_claims import figure as figure
from evidence_fit_claims import page_text as page_text
from evidence_options import Options
from torch import Tensor, nn

import circpeft
from circpeft import files, fits, models, recipes, results, tasks, training
from circpeft.training import base_model
from circpeft.training.kinds import KINDS

SWEEPS, RANDOM_STARTS = 40, 1


class Study(NamedTuple):
    """The fine-tuning of one model.

    Attributes:
        task: the embedded task.
        settings: fields of `Recipe`, instead of those of the profile "cpu".
        blocks: the transformer blocks whose layers are fitted.
        block_sizes: those of the fits; "auto" is the largest that a layer can have.
        minutes: estimated time of the training and of the fits, on two cores.
        layers: number of linear layers in these blocks.
    """

    task: str
    settings: dict
    blocks: tuple[int, ...]
    block_sizes: tuple[int | str, ...]
    minutes: tuple[float, float]
    layers: int


# AdamW needs 16 bytes for each of the 134 million weights of SmolLM2. With checkpointing, the peak was 3.1 GiB.
# Products in bfloat16 take about 0.6 of the time on CPUs that have them; weights and optimizer stay in float32.
SMALL = {"batch_size": 8, "epochs": 1, "max_train": 800, "max_eval": 8, "max_new_tokens": 24, "max_length": 128}
STUDIES = {
    "minilm": Study("entailment", {"epochs": 3}, tuple(range(6)), ("auto", 64), (3.0, 9.0), 36),
    "smollm2": Study(
        "word_problems",
        {**SMALL, "precision": "bf16", "tested_epoch": "last", "gradient_checkpointing": True, "chat_template": False},
        (0, 15, 29),
        ("auto", 64),
        (12.0, 8.0),
        21,
    ),
}
SMOKE = {"epochs": 1, "max_train": 16, "max_eval": 8}


def recipe(model: str, folder: Path, smoke: bool = False) -> recipes.Recipe:
    """Return the recipe of full fine-tuning of a model, with the method's default rate."""
    study = STUDIES[model]
    given = {"model": model, **study.settings, **(SMOKE if smoke else {})}
    settings = recipes.settings_of("cpu", tasks.get(study.task).kind, given)
    return recipes.Recipe(study.task, "full", output_dir=str(folder.resolve()), **settings)


def updates(made: recipes.Recipe, blocks: tuple[int, ...]) -> Iterator[tuple[str, Tensor]]:
    """Yield name and ``ΔW`` of each linear layer in some blocks of a model that has trained."""
    kind, folder = KINDS[tasks.get(made.task).kind], models.resolve(made.model, made.base_dtype)
    config = base_model.config_of(made, tasks.get(made.task), kind, folder)
    before, (after, _) = base_model.load(made, kind, folder, config), training.load_trained(made)
    for name, layer in before.named_modules():
        number = next((int(part) for part in name.split(".") if part.isdigit()), None)
        if isinstance(layer, nn.Linear) and number in blocks:
            weight = after.get_submodule(name).weight
            yield name, (weight.detach().cpu() - layer.weight.detach()).float()


def controls(update: Tensor, seed: int) -> dict[str, Tensor]:
    """Return a ΔW and its three controls, by name."""
    numbers = torch.Generator().manual_seed(seed)
    d_out, d_in = update.shape
    singular = torch.linalg.svdvals(update)
    sides = [torch.randn(d, len(singular), generator=numbers) for d in update.shape]
    left, right = (torch.linalg.qr(side).Q for side in sides)
    rows, columns = (torch.randperm(d, generator=numbers) for d in (d_out, d_in))
    return {
        UPDATE: update,
        GAUSSIAN: torch.randn(d_out, d_in, generator=numbers),
        VALUES: left * singular @ right.T,
        PERMUTED: update[rows][:, columns],
    }


def fitted(matrix: Tensor, block_size: int | str, sweeps: int) -> dict:
    """Return the shares of a matrix that each form represents, and how the fit of ``A3 C A1`` converged.

    ``low_rank_circulant`` and ``low_rank_product`` are the low-rank fits with as many parameters as the two forms.
    ``starts`` has the last share of each start, and ``last_gain`` what the last sweep of the best one added.
    """
    kernel = fits.block_circulant_fit(matrix, block_size)
    product = fits.diagonal_circulant_fit(matrix, block_size, random_starts=RANDOM_STARTS, sweeps=sweeps)
    best = max(product.shares.values(), key=lambda shares: shares[-1])
    circulant = circpeft.block_circulant(kernel)
    shares = {
        "circulant": fits.share(matrix, circulant),
        "product": fits.share(matrix, product.matrix),
        "low_rank_circulant": fits.low_rank_share(matrix, kernel.numel()),
        "low_rank_product": fits.low_rank_share(matrix, kernel.numel() + sum(matrix.shape)),
    }
    ends = {name: round(of[-1], 6) for name, of in product.shares.items()}
    convergence = {"starts": ends, "sweeps": len(best), "last_gain": float(f"{best[-1] - best[-2]:.2g}")}
    return {"b": kernel.shape[-1], **{name: round(value, 6) for name, value in shares.items()}, **convergence}


def missing_models() -> dict[str, str]:
    """Return the models that are not installed, each with the error that tells how to install it."""
    missing = {}
    for model in STUDIES:
        try:
            models.resolve(model, "float32")
        except FileNotFoundError as error:
            missing[model] = str(error)
    return missing


def counts(name: str, options: Options) -> tuple[int, int, float]:
    """Return the number of models, how many of those installed are not fitted, and the estimated minutes for them."""
    missing, done, minutes = missing_models(), _finished(options), []
    for model, study in STUDIES.items():
        if model not in missing:
            made = recipe(model, options.folder, options.smoke)
            trained = results.path_of(made.name, made.output_dir).exists()
            share = 1 - len({row["layer"] for row in done if row["model"] == model}) / study.layers
            if not trained or share > 0:
                minutes.append((0 if trained else study.minutes[0]) + share * study.minutes[1])
    return len(STUDIES), len(minutes), sum(minutes)


def run(name: str, options: Options, earlier: dict | None = None) -> dict:
    """Train and fit each model that is installed, until the time limit, and return the part's record.

    The layers that are fitted are kept in the folder, so that a repeated command continues. With ``options.smoke``, two
    layers of each model are fitted, with three sweeps, after training on 16 rows.

    Args:
        name: name of the part.
        options: how to run it.
        earlier: the part's record so far; its rows stay for models that are not installed here.
    """
    missing, rows, trained = missing_models(), [], {}
    old = earlier or {"rows": [], "trained": {}}
    for model, study in STUDIES.items():
        if model in missing:
            print(f"skipped: {missing[model]}", file=sys.stderr, flush=True)
            rows += [row for row in old["rows"] if row["model"] == model]
            trained |= {key: value for key, value in old["trained"].items() if key == model}
        elif not options.is_over:
            result = training.run(recipe(model, options.folder, options.smoke))
            names = ("task", "seed", "start_score", "test_score", "rows", "settings", "device", "versions", "commit")
            trained[model] = {key: getattr(result, key) for key in names}
            rows += _fit_layers(model, study, options)
    skipped = {model: reason for model, reason in missing.items() if model not in trained}
    return {"part": name, "planned": len(STUDIES), "rows": rows, "trained": trained, "skipped": skipped}


def _fit_layers(model: str, study: Study, options: Options) -> list[dict]:
    """Fit the layers of a model that has trained, and return the rows of all that are fitted."""
    done = _finished(options)
    rows = [row for row in done if row["model"] == model]
    for i, (layer, update) in enumerate(updates(recipe(model, options.folder, options.smoke), study.blocks)):
        if options.is_over or (options.smoke and i == 2):
            break
        if layer in {row["layer"] for row in rows}:
            continue
        for block_size in study.block_sizes:
            for target, matrix in controls(update, seed=i).items():
                place = {"model": model, "layer": layer, "shape": list(matrix.shape), "target": target}
                fit = fitted(matrix, block_size, sweeps=3 if options.smoke else SWEEPS)
                rows.append({**place, "asked": block_size, **fit})
        others = [row for row in done if row["model"] != model]
        kept = {"code": results.code_version(), "rows": others + rows}
        files.write_atomically(_path(options), json.dumps(kept) + "\n")
        print(f"{model}: {layer} fitted, {i + 1} of {study.layers} layers", file=sys.stderr, flush=True)
    return rows


def _path(options: Options) -> Path:
    return options.folder / "fits.json"


def _finished(options: Options) -> list[dict]:
    """Return the rows of the layers that the present code has fitted."""
    path = _path(options)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"code": ""}
    return kept["rows"] if kept["code"] == results.code_version() else []
