r"""Do the best learning rates line up over widths and block sizes? Runs, record, table and picture.

    for width in 64 256; do
        .venv/bin/python data/small_vit/pretrain.py --width $width --to runs/vit$width; done
    .venv/bin/python benchmarks/transfer.py --run --models runs/vit64 small-vit runs/vit256
    .venv/bin/python benchmarks/transfer.py --run --task entailment
    .venv/bin/python benchmarks/transfer.py FOLDER [FOLDER ...]

With --run, it trains every method, block size, rate and seed that has no record yet, each with one rate for the adapter
and the head. An interrupted run continues when the same command is repeated. Without it, it only collects the records
of the folders. Both write benchmarks/results/transfer.json, one row per run (rows of other runs stay), transfer.png,
and the part of docs/learning-rate-runs.md between the markers "transfer".

C3A and CDVFT have alpha="lora", so that C3A's ΔW is C(w) / sqrt(k) with k = width / b blocks along the shorter side of
every layer. The plain sum ΔW = C(w) is not run: Adam's steps do not depend on the size of the gradient (but for its
eps, and for clipping by norm), so a run at rate η takes the steps of the plain sum at η / sqrt(k).
"""

import argparse
import json
import math
from pathlib import Path

import cells
import transfer_figure
from page_parts import Part, device_text
from transfer_fit import Best, best_rate, power_law

from circpeft import files, models, plots, results
from circpeft.results import Result

RECORD = results.ROOT / "benchmarks" / "results" / "transfer.json"
PICTURE = RECORD.with_suffix(".png")
FOLDER = results.default_folder("transfer")
PART = Part("transfer", "docs/learning-rate-runs.md")
MODELS = {"digits": "small-vit", "entailment": "minilm"}
EPOCHS = {"digits": 3, "entailment": 1}
RATES = {"digits": (1e-3, 3e-3, 1e-2, 3e-2), "entailment": (3e-4, 1e-3, 3e-3)}
# The width divided by the block size.
PARTS = {
    "digits": {"c3a": (1, 2, 4, 16), "cdvft": (1, 4)},
    "entailment": {"c3a": (1, 2, 6, 24), "cdvft": (1, 6)},
}
METHODS = ("c3a", "lora", "cdvft")


def width_of(model: str) -> int:
    """Return the number of features of a model, from its config."""
    config = Path(models.resolve(model)) / "config.json"
    return json.loads(config.read_text(encoding="utf-8"))["hidden_size"]


def labels_of(task: str, methods: list[str], width: int, block_sizes: list[int]) -> list[str]:
    """Return the methods with their block sizes: those given, or the width divided by the task's parts.

    >>> labels_of("digits", ["lora", "cdvft"], 64, [])
    ['lora', 'cdvft:block_size=64', 'cdvft:block_size=16']
    """
    labels = []
    for method in methods:
        sizes = [width // part for part in PARTS[task].get(method, ())]
        labels += [f"{method}:block_size={size}" for size in (block_sizes or sizes) if sizes] or [method]
    return labels


def planned(arguments: argparse.Namespace) -> list:
    """Return the runs of the command line, seed by seed."""
    task = arguments.task
    settings = {"epochs": arguments.epochs or EPOCHS[task], "max_train": arguments.max_train}
    return [
        cells.cell(task, label, rate, seed, arguments.to, model=model, **settings)
        for seed in arguments.seeds
        for model in arguments.models or [MODELS[task]]
        for label in labels_of(task, arguments.methods, width_of(model), arguments.block_sizes)
        for rate in arguments.rates or RATES[task]
    ]


def row_of(result: Result) -> dict:
    """Return the row of a run: its setting, and the values after its last epoch.

    The width is the number of singular values of the watched layers: the model's folder may no longer be there.
    """
    last = result.epochs[-1]
    return {
        "task": result.task,
        "width": max(map(len, result.spectra.values())),
        "method": result.method,
        "block_size": result.hyperparameters.get("block_size"),
        "learning_rate": result.settings["learning_rate"],
        "seed": result.seed,
        "score": last["score"],
        "loss": last["loss"],
        "train_loss": result.losses[-1]["loss"],
        "epochs": result.settings["epochs"],
        "rows": result.rows["train"],
        "device": result.device,
        "versions": result.versions,
        "commit": result.commit,
    }


def comparable(result: Result) -> bool:
    """Tell whether a run is of these tasks and methods, with one rate for adapter and head and the default scale."""
    rates = result.settings["learning_rate"], result.settings["head_learning_rate"]
    known = result.task in MODELS and result.method in METHODS and result.hyperparameters.keys() <= {"block_size"}
    return known and rates[0] == rates[1]


def sort_key(row: dict) -> tuple:
    """Return the identity of a row, which is also its place in the record."""
    method = METHODS.index(row["method"]), -(row["block_size"] or 0)
    return row["task"], row["epochs"], row["rows"], row["width"], *method, row["learning_rate"], row["seed"]


def values(rows: list[dict], measure: str) -> dict[float, dict[int, float]]:
    """Return ``{rate: {seed: value}}``, where a higher value is better."""
    by_rate: dict[float, dict[int, float]] = {}
    for row in rows:
        by_rate.setdefault(row["learning_rate"], {})[row["seed"]] = row[measure] if measure == "score" else -row["loss"]
    return by_rate


def rate_text(best: Best | None) -> str:
    """Return a rate with the factor of its standard error; "at least" or "at most" for one at the end of the range.

    >>> rate_text(Best(0.00412, 0.2, True))
    '0.0041 (1.22)'
    """
    if best is None:
        return ""
    spread = "" if math.isnan(best.spread) else f" ({math.exp(best.spread):.2f})"
    return f"{best.rate:.2g}{spread}" + ("" if best.inside else ", at the end")


def law_text(name: str, found: list[tuple[int, int, Best]]) -> str:
    """Return a sentence with the power law of C3A's best rates, in units of the plain sum."""
    inside = [(b, d, best.rate / math.sqrt(d / b)) for b, d, best in found if best.inside]
    law = power_law(inside)
    if law is None:
        return f"By {name}: too few settings with the best rate inside the range for a fit."
    width = "" if law.q is None else f" and q = {law.q:.2f} (standard error {law.q_error:.2f})"
    count = f"from {law.count} of {len(found)} settings"
    return f"By {name}: p = {law.p:.2f} (standard error {law.p_error:.2f}){width}, {count}."


def section(rows: list[dict]) -> list[str]:
    """Return the table and the fits of the runs of one task, with one number of epochs and of rows."""
    rates = sorted({row["learning_rate"] for row in rows})
    heads = [
        "width",
        "method",
        "block size",
        "best rate by score",
        "by loss",
        *(f"score at {rate:g}" for rate in rates),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    found: dict[str, list] = {"score": [], "loss": []}
    settings = dict.fromkeys((row["width"], row["method"], row["block_size"]) for row in rows)
    for width, method, b in settings:
        here = [row for row in rows if (row["width"], row["method"], row["block_size"]) == (width, method, b)]
        best = {}
        for measure in found:
            by_rate = values(here, measure)
            best[measure] = best_rate(by_rate) if len(by_rate) > 2 else None
            if method == "c3a" and best[measure]:
                found[measure].append((b, width, best[measure]))
        scores = values(here, "score")
        means = [f"{sum(scores[r].values()) / len(scores[r]):.3f}" if r in scores else "" for r in rates]
        cells_ = [str(width), method, str(b or ""), rate_text(best["score"]), rate_text(best["loss"]), *means]
        lines.append(f"| {' | '.join(cells_)} |")
    first, seeds = rows[0], sorted({row["seed"] for row in rows})
    devices = " and ".join(sorted({device_text(row["device"]) for row in rows}))
    several = len({width for width, _, _ in settings}) > 1
    return [
        *lines,
        "",
        f"{first['task'].capitalize()}, {first['rows']:,} training rows, epochs: {first['epochs']}, mean of "
        f"{len(seeds)} seed{'s' * (len(seeds) > 1)}; {devices}; torch {first['versions']['torch']}. Scores and losses "
        "are those of validation after the last epoch. A number in brackets is the standard error of the best rate, as "
        "a factor (bootstrap over seeds).",
        "",
        f"C3A's best rates, converted to the plain sum ΔW = C(w) (rate / sqrt(k)), are fitted by "
        f"c b^p{' d^q' * several}. The scale 1 / sqrt(k) predicts p = 0.5{' and q = -0.5' * several}. "
        + " ".join(law_text(measure, of) for measure, of in found.items()),
        "",
    ]


def part_text(rows: list[dict]) -> str:
    """Return one section for the runs of each task with one number of epochs and rows."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["epochs"], row["rows"]), []).append(row)
    lines = [line for group in groups.values() for line in section(group)]
    return "\n".join([*lines, "Record: `benchmarks/results/transfer.json`, by `benchmarks/transfer.py`.", ""])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Measure the best learning rates over widths and block sizes.")
    parser.add_argument("folders", type=Path, nargs="*", help="folders with results/ to collect")
    parser.add_argument("--run", action="store_true", help="first run what has no record yet, into --to")
    parser.add_argument("--to", type=Path, default=FOLDER, help="output folder of the runs")
    parser.add_argument("--task", choices=MODELS, default="digits")
    parser.add_argument("--models", nargs="+", default=[], help="model folders of several widths, or embedded models")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--block-sizes", nargs="+", type=int, default=[], help="the same block sizes for all widths")
    parser.add_argument("--rates", nargs="+", type=float, default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=0, help="0 takes 3 for digits, 1 for entailment")
    parser.add_argument("--max-train", type=int, default=0, help="number of training rows; 0 takes all")
    parser.add_argument("--workers", type=int, default=1, help="runs at the same time")
    return parser


def main(argv: list[str] | None = None, record: Path = RECORD) -> None:
    """Run what is missing, if asked to, and write the record, the picture and the table."""
    arguments = parser().parse_args(argv)
    if not arguments.run and not arguments.folders:
        parser().error("give folders to collect, or --run")
    if arguments.run:
        cells.run(f"transfer-{arguments.task}", planned(arguments), arguments.workers)
    rows = {sort_key(row): row for row in json.loads(record.read_text(encoding="utf-8"))} if record.exists() else {}
    found = cells.read([*arguments.folders, *([arguments.to] if arguments.run else [])])
    rows |= {sort_key(row): row for row in map(row_of, filter(comparable, found))}
    in_order = [rows[key] for key in sorted(rows)]
    files.write_atomically(record, json.dumps(in_order, indent=1) + "\n")
    plots.save(transfer_figure.picture(in_order), record.with_suffix(".png"))
    print(part_text(in_order))
    if record == RECORD:
        PART.write(part_text(in_order))


if __name__ == "__main__":
    main()
