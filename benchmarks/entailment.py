"""The README's table and picture, from the records of a run of notebook 08.

    .venv/bin/circpeft run 08 -p seeds 3 -p methods "head,full,lora,c3a,c3a:block_size=64,cdvft"
    .venv/bin/python benchmarks/entailment.py runs/FOLDER [runs/FOLDER ...]

Writes benchmarks/results/entailment.json (the records, without their training logs) and entailment.png, and the part of
README.md between its results markers.
"""

import argparse
import json
import re
from dataclasses import asdict
from pathlib import Path

from circpeft import plots, results

ROOT = results.ROOT
RECORD = ROOT / "benchmarks" / "results" / "entailment.json"
PICTURE = RECORD.with_suffix(".png")
MARKED = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def readme_text(rows: list[dict]) -> str:
    """The README's part: one table row a method, and where the figures come from."""
    by_method: dict[str, list[dict]] = {}
    for row in rows:
        by_method.setdefault(row["label"], []).append(row)
    share = by_method["lora"][0]["trainable_parameters"] if "lora" in by_method else 0
    lines = [
        "| method | trainable parameters | of LoRA's | test accuracy, a run each | seconds |",
        "|---|---|---|---|---|",
    ]
    for label, runs in by_method.items():
        count = runs[0]["trainable_parameters"]
        of_lora = f"{count / share:.1%}" if 0 < count <= share else ""
        # A run with one thread, beside another, says nothing of the time on two cores.
        timed = [f"{run['seconds']:.0f}" for run in runs if run["device"] == rows[0]["device"]]
        scores = ", ".join(f"{run['test_score']:.3f} (seed {run['seed']})" for run in runs)
        lines.append(f"| {label} | {count:,} | {of_lora} | {scores} | {timed[0] if timed else ''} |")
    first, settings = rows[0], rows[0]["settings"]
    lines += [
        "",
        f"MiniLM (22.7 million parameters) on the embedded entailment task: {first['rows']['train']:,} pairs, "
        f"{settings['epochs']} epochs, "
        f"adapted layers {', '.join(settings['target_modules'])}; "
        f"parameters without the head. Seconds are those of runs on {first['device']}; "
        f"torch {first['versions']['torch']}, commit {first['commit']}; "
        "record, with the device of every run: `benchmarks/results/entailment.json`.",
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the README's table and picture from a run's records.")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of the runs, with results/ in them")
    every = [result for folder in parser.parse_args().folders for result in results.read_all(folder)]
    adapted = max(
        (r.settings["target_modules"] for r in every), key=len
    )  # the runs beside, on fewer layers, are left out
    found = [r for r in every if r.settings["target_modules"] == adapted]
    order = ("head", "full", "lora", "c3a", "c3a:block_size=64", "cdvft")
    found.sort(key=lambda r: (order.index(r.label) if r.label in order else len(order), r.seed))
    rows = [{name: value for name, value in asdict(r).items() if name not in ("losses", "spectra")} for r in found]
    results.write_atomically(RECORD, json.dumps(rows, indent=1) + "\n")
    plots.save(picture(rows), PICTURE)
    readme = ROOT / "README.md"
    text = MARKED.sub(lambda match: match[1] + readme_text(rows) + match[2], readme.read_text(encoding="utf-8"))
    results.write_atomically(readme, text)
    print(readme_text(rows))


if __name__ == "__main__":
    main()
