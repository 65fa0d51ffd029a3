"""A real language model on real text: the part "g" of benchmarks/evidence.py.

SmolLM2-135M-Instruct is fine-tuned on 1,000 rows of each data set whose folder is given (``--data FOLDER`` with folders
named as the tasks: viggo, gsm8k, sql), by full fine-tuning, LoRA, C3A with b = 64 and CDVFT. The base model of the
adapters is in bfloat16, and so are the products of all runs. On a CPU a data set has one seed, and each run takes all
cores; on a GPU it has ``--seeds``.

The unit of the standard errors is the test row: with one seed, they contain which questions were asked, not how the
training went.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import cells
import evidence_training
import torch
from evidence_cells import Cell
from evidence_options import Options
from evidence_real_text_claims import NAMES
from evidence_real_text_claims import comparisons as comparisons  # what benchmarks/evidence.py calls of each part
from evidence_real_text_claims import figure as figure
from evidence_real_text_claims import page_text as page_text

from circpeft import models, results, tasks

TRAINING_ROWS = 1000
# The adapters have the rate at which LoRA did better on 400 rows of ViGGO, seed 0, of 1e-3 and 3e-3.
RATES = {"lora": 3e-3, "c3a:block_size=64": 3e-3, "cdvft": 3e-3, "full": 5e-5}
# Four rows a step, in two batches: half as many activations of the longest rows.
STEP = {"batch_size": 2, "gradient_accumulation": 2}
COMMON = {"model": "smollm2", "precision": "bf16", "max_train": TRAINING_ROWS, "max_length": 384, **STEP}
# A CPU reads all weights for each token of a batch of answers, so larger batches take less time in all.
COMMON |= {"generation_batch_size": 32}
SETTINGS = {
    "viggo": {"epochs": 1, "max_eval": 200, "max_new_tokens": 96},
    "gsm8k": {"epochs": 1, "max_eval": 100, "max_new_tokens": 200},
    "sql": {"epochs": 1, "max_eval": 200, "max_new_tokens": 96},
}
# AdamW keeps 16 bytes for each of the 134.5 million weights, in float32, so full fine-tuning keeps fewer activations.
WHOLE = {"gradient_checkpointing": True}
ADAPTERS = {"base_dtype": "bfloat16"}
SMOKE = {"max_train": 8, "max_eval": 2, "epochs": 1, "max_new_tokens": 8}
MINUTES = {"viggo": 18.0, "gsm8k": 30.0, "sql": 19.0}  # of a run on two cores


def folders(options: Options) -> dict[str, Path]:
    """Return the data folder of each task that ``--data`` has, in the order of `NAMES`.

    Raises: ValueError if it has none of them.
    """
    if options.data is None:
        print("g needs --data, a folder with folders named viggo, gsm8k or sql", file=sys.stderr, flush=True)
        return {}
    found = {task: options.data / task for task in NAMES if (options.data / task).is_dir()}
    if not found:
        raise ValueError(f"{options.data} has no folder named {', '.join(NAMES)}")
    return found


def planned(options: Options) -> list[Cell]:
    """Return the runs, seed by seed and method by method, the slowest last; none without data or without SmolLM2."""
    seeds = 1 if options.smoke or not torch.cuda.is_available() else options.seeds
    given = folders(options)
    return [
        _cell(options, task, folder, label, seed)
        for seed in range(seeds if given and installed() else 0)
        for label in (["lora"] if options.smoke else RATES)
        for task, folder in given.items()
    ]


def _cell(options: Options, task: str, folder: Path, label: str, seed: int) -> Cell:
    of_method = WHOLE if label == "full" else ADAPTERS
    given = {**COMMON, **of_method, **SETTINGS[task], **(SMOKE if options.smoke else {})}
    place = {"data_dir": str(folder.resolve()), "tested_epoch": "last"}
    recipe = cells.cell(task, label, RATES[label], seed, options.folder, **given, **place)
    return Cell(recipe, {"task": task, "method": label})


def name_of(cell: Cell) -> str:
    """Return the name of a run on record: that of its recipe without the data folder, which differs by machine."""
    return replace(cell.recipe, data_dir="").name


def without_kept(cells: list[Cell], options: Options) -> list[Cell]:
    """Return the runs that the record does not keep (``--keep``)."""
    return [cell for cell in cells if name_of(cell) not in options.kept]


def installed() -> bool:
    """Return whether SmolLM2 is installed. If not, a line on stderr names the command that installs it."""
    try:
        models.resolve(COMMON["model"], ADAPTERS["base_dtype"])
    except FileNotFoundError as error:
        print(f"skipped: {error}", file=sys.stderr, flush=True)
        return False
    return True


def counts(name: str, options: Options) -> tuple[int, int, float]:
    """Return the number of runs, how many are missing, and the estimated minutes for those on two cores."""
    plan = planned(options)
    missing = evidence_training.to_do(without_kept(plan, options))
    return len(plan), len(missing), sum(MINUTES[cell.recipe.task] for cell in missing)


def run(name: str, options: Options, earlier: dict | None = None) -> dict:
    """Train what is missing, one run after another, until the time limit, and return the part's record.

    Rows of an earlier record stay for runs that are not in the plan: another machine may lack a data folder.
    """
    plan = planned(options)
    new = without_kept(plan, options)
    alone = replace(options, workers=1)
    seconds = {cell.recipe.name: 60 * MINUTES[cell.recipe.task] for cell in new}
    try:
        if new:
            evidence_training.train(name, new, alone, seconds)
    except evidence_training.OutOfTime as stop:
        print(stop, file=sys.stderr, flush=True)
    done = {cell.recipe.name for cell in new} - {cell.recipe.name for cell in evidence_training.to_do(new)}
    rows = {row["run"]: row for row in (earlier or {}).get("rows", [])}
    rows |= {name_of(cell): row_of(cell) for cell in new if cell.recipe.name in done}
    in_plan = {name_of(cell) for cell in plan}
    return {"part": name, "planned": len(rows.keys() | in_plan), "rows": list(rows.values())}


def row_of(cell: Cell) -> dict:
    """Return the row of a finished run: its scores, which answers were right, its costs, and where it comes from."""
    recipe = cell.recipe
    result, task = results.read(results.path_of(recipe.name, recipe.output_dir)), tasks.get(recipe.task)
    data, _ = tasks.load(recipe.task, recipe.data_dir, recipe.max_train)
    test = tasks.splits.first_rows(data["test"], recipe.max_eval)
    references = list(test[task.answer_column])[: len(result.predictions)]
    right = [int(task.same(*pair)) for pair in zip(references, result.predictions, strict=True)]
    record = asdict(result)
    kept = {name: record[name] for name in ("peak_bytes", "tokens_per_second", "chat_template", "computation")}
    texts = task.instruction(test[0]).strip(), references[0], result.start_predictions[0], result.predictions[0]
    example = dict(zip(("question", "reference", "before", "after"), texts, strict=True))
    return {**evidence_training.row_of(cell.place, name_of(cell), record), **kept, "right": right, "example": example}
