r"""The README's table and picture, from the records of a run of notebook 08.

    .venv/bin/circpeft run 08 -p seeds 3 -p epochs 3 \
        -p methods "head,full,lora,c3a,c3a:block_size=64:learning_rate=0.15,cdvft"
    .venv/bin/python benchmarks/entailment.py runs/FOLDER [runs/FOLDER ...] [--keep]

Writes benchmarks/results/entailment.json (the records, without their long parts) and entailment.png, and the part of
README.md between its results markers. With --keep, earlier runs of other seeds and methods stay, where they are runs of
the same recipe on the same rows.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import readme

from circpeft import files, plots, results
from circpeft.recipes import Recipe

ROOT = results.ROOT
RECORD = ROOT / "benchmarks" / "results" / "entailment.json"
PICTURE = RECORD.with_suffix(".png")
LEFT_OUT = ("losses", "spectra", "predictions", "start_predictions")  # of a record: too long for the repository
PART = readme.Part("results")


def readme_text(rows: list[dict]) -> str:
    """The README's part: one table row a method, and where the figures come from."""
    by_method: dict[str, list[dict]] = {}
    for row in rows:
        by_method.setdefault(row["label"], []).append(row)
    share = by_method["lora"][0]["trainable_parameters"] if "lora" in by_method else 0
    lines = [
        "| method | trainable parameters | of LoRA's | test accuracy, a run each | seconds, fastest run |",
        "|---|---|---|---|---|",
    ]
    for label, runs in by_method.items():
        count = runs[0]["trainable_parameters"]
        of_lora = f"{count / share:.1%}" if 0 < count <= share else ""
        # A run with one thread, beside another, says nothing of the time on two cores.
        timed = [run["seconds"] for run in runs if run["device"] == rows[0]["device"]]
        scores = ", ".join(f"{run['test_score']:.3f} (seed {run['seed']})" for run in runs)
        lines.append(f"| {label} | {count:,} | {of_lora} | {scores} | {f'{min(timed):.0f}' if timed else ''} |")
    first, settings = rows[0], rows[0]["settings"]
    lines += [
        "",
        f"MiniLM (22.7 million parameters) on the embedded entailment task: {first['rows']['train']:,} pairs, "
        f"{settings['epochs']} epochs, "
        f"adapted layers {', '.join(settings['target_modules'])}; "
        f"parameters without the head. Seconds are those of runs on {first['device']}; "
        f"torch {first['versions']['torch']}; "
        "record, with the device and the commit of every run: `benchmarks/results/entailment.json`.",
        "",
    ]
    return "\n".join(lines)


def picture(rows: list[dict]):
    """Test accuracy against trainable parameters, a point a run."""
    series = {}
    for row in rows:
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
    """The runs on record that new ones do not replace: same epochs, rows, layers, and the rate that the recipe has."""
    new, like = {(row["label"], row["seed"]) for row in rows}, rows[0]
    shared = ("epochs", "batch_size", "target_modules", "model", "base_dropout")
    return [
        row
        for row in json.loads(RECORD.read_text(encoding="utf-8"))
        if (row["label"], row["seed"]) not in new
        and row["data"] == like["data"]
        and all(list_of(row["settings"][key]) == list_of(like["settings"][key]) for key in shared)
        and row["settings"]["learning_rate"] == rate_today(row)
    ]


def rate_today(row: dict) -> float:
    """The rate that the row's recipe would have now."""
    fields = {name: row["settings"][name] for name in ("model", "hyperparameters")}
    return Recipe(row["task"], row["method"], **fields).rates[0]


def list_of(value: object) -> object:
    """JSON has no tuples."""
    return list(value) if isinstance(value, tuple) else value


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the README's table and picture from a run's records.")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of the runs, with results/ in them")
    parser.add_argument("--keep", action="store_true", help="keep earlier runs of the same recipes on the same rows")
    arguments = parser.parse_args()
    every = [result for folder in arguments.folders for result in results.read_all(folder)]
    adapted = max(
        (r.settings["target_modules"] for r in every), key=len
    )  # the runs beside, on fewer layers, are left out
    found = [r for r in every if r.settings["target_modules"] == adapted]
    rows = [{name: value for name, value in asdict(r).items() if name not in LEFT_OUT} for r in found]
    rows += kept(rows) if arguments.keep else []
    order = ("head", "full", "lora", "c3a", "c3a:block_size=64:learning_rate=0.15", "cdvft")
    rows.sort(key=lambda r: (order.index(r["label"]) if r["label"] in order else len(order), r["seed"]))
    files.write_atomically(RECORD, json.dumps(rows, indent=1) + "\n")
    plots.save(picture(rows), PICTURE)
    PART.put(readme_text(rows))
    print(readme_text(rows))


if __name__ == "__main__":
    main()
