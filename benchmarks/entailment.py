"""The README's table of results and its picture, from the records of runs of the embedded entailment task.

    .venv/bin/circpeft run 08 -p seeds 3 -p epochs 3 -p methods "head,full"
    .venv/bin/python benchmarks/one_rate.py --run --tasks entailment
    .venv/bin/python benchmarks/entailment.py runs/FOLDER [runs/FOLDER ...] [--keep]

Writes benchmarks/results/entailment.json (the records, without their long parts), entailment.png, and the part of
README.md between the markers "results". With --keep, earlier runs of other seeds and methods stay in the record if they
have the same recipe and the same rows. Other tasks in the folders are left out.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from page_parts import Part, rates_text

from circpeft import files, plots, results
from circpeft.recipes import Recipe

ROOT = results.ROOT
RECORD = ROOT / "benchmarks" / "results" / "entailment.json"
PICTURE = RECORD.with_suffix(".png")
# Fields of a record that are too long for the repository.
LEFT_OUT = ("losses", "spectra", "predictions", "start_predictions")
PART = Part("results", "README.md")
# The methods that the README shows, in this order. The record has more.
SHOWN = ("head", "full", "lora", "c3a", "c3a:block_size=64", "cdvft")


def part_text(rows: list[dict]) -> str:
    """Return a table with one row per shown method, and a line that says where the figures come from."""
    by_method: dict[str, list[dict]] = {}
    for row in shown(rows):
        by_method.setdefault(row["label"], []).append(row)
    lora = by_method["lora"][0]["trainable_parameters"] if "lora" in by_method else 0
    lines = [
        "| method | trainable parameters | share of LoRA's | learning rate | test accuracy per seed |",
        "|---|---|---|---|---|",
    ]
    for label, runs in by_method.items():
        count = runs[0]["trainable_parameters"]
        share = f"{count / lora:.1%}" if 0 < count <= lora else ""
        scores = ", ".join(f"{run['test_score']:.3f} (seed {run['seed']})" for run in runs)
        lines.append(f"| {label} | {count:,} | {share} | {rates_text(runs[0])} | {scores} |")
    first, settings = rows[0], rows[0]["settings"]
    lines += [
        "",
        f"MiniLM (22.7 million parameters) on the embedded entailment task: {first['rows']['train']:,} pairs, "
        f"{settings['epochs']} epochs, adapted layers {', '.join(settings['target_modules'])}. The parameters do not "
        "include the head's. The head has the same rate, unless its own is given. The record, with device and commit "
        "of every run, is `benchmarks/results/entailment.json`.",
        "",
    ]
    return "\n".join(lines)


def shown(rows: list[dict]) -> list[dict]:
    """Return the runs of the methods that the README shows, in its order."""
    return sorted((r for r in rows if r["label"] in SHOWN), key=lambda r: (SHOWN.index(r["label"]), r["seed"]))


def picture(rows: list[dict]):
    """Draw test accuracy against trainable parameters, one point per run."""
    series = {}
    for row in shown(rows):
        counts, scores = series.setdefault(row["label"], ([], []))
        counts.append(max(1, row["trainable_parameters"]))
        scores.append(row["test_score"])
    return plots.scatter(
        series,
        title="Entailment: test accuracy against trainable parameters",
        x_title="trainable parameters, head left out (the head alone is drawn at 1)",
        y_title="test accuracy",
        log_x=True,
    )


def kept(rows: list[dict]) -> list[dict]:
    """Return the runs on record that the new ones do not replace.

    They have the same epochs, rows and layers as the new runs, and the learning rate that their recipe has now.
    """
    new, first = {(row["label"], row["seed"]) for row in rows}, rows[0]
    shared = ("epochs", "batch_size", "target_modules", "model", "base_dropout")
    return [
        row
        for row in json.loads(RECORD.read_text(encoding="utf-8"))
        if (row["label"], row["seed"]) not in new
        and row["data"] == first["data"]
        and all(list_of(row["settings"][key]) == list_of(first["settings"][key]) for key in shared)
        and row["settings"]["learning_rate"] == rate_today(row)
    ]


def rate_today(row: dict) -> float:
    """Return the learning rate that the row's recipe would have now."""
    fields = {name: row["settings"][name] for name in ("model", "hyperparameters")}
    return Recipe(row["task"], row["method"], **fields).rates[0]


def list_of(value: object) -> object:
    """Return a list for a tuple: JSON has no tuples."""
    return list(value) if isinstance(value, tuple) else value


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write the README's table of results and its picture from the records of runs."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="folders of the runs, with results/ in them")
    parser.add_argument("--keep", action="store_true", help="keep earlier runs of the same recipes on the same rows")
    arguments = parser.parse_args()
    every = [r for folder in arguments.folders for r in results.read_all(folder) if r.task == "entailment"]
    # The runs for comparison on fewer layers (parameter `beside` of the notebook) are left out.
    adapted = max((r.settings["target_modules"] for r in every), key=len)
    found = [r for r in every if r.settings["target_modules"] == adapted]
    rows = [{name: value for name, value in asdict(r).items() if name not in LEFT_OUT} for r in found]
    rows += kept(rows) if arguments.keep else []
    rows.sort(key=lambda r: (SHOWN.index(r["label"]) if r["label"] in SHOWN else len(SHOWN), r["label"], r["seed"]))
    files.write_atomically(RECORD, json.dumps(rows, indent=1) + "\n")
    plots.save(picture(rows), PICTURE)
    PART.write(part_text(rows))
    print(part_text(rows))


if __name__ == "__main__":
    main()
