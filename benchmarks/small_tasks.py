"""The tables of the embedded image and instruction tasks in docs/results.md, from records of their runs.

    .venv/bin/circpeft run 09 -p seeds 3
    .venv/bin/circpeft run 10 -p seeds 3 -p methods "head,full"
    .venv/bin/python benchmarks/one_rate.py --run --tasks word_problems --seeds 5
    .venv/bin/python benchmarks/small_tasks.py runs/FOLDER [runs/FOLDER ...]

Writes benchmarks/results/digits.json and word_problems.json (the records, without their long parts), and the part of
docs/results.md between the markers "small". Records of other methods and seeds stay.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from page_parts import Part, device_text, rates_text

from circpeft import files, results

ROOT = results.ROOT
RECORDS = ROOT / "benchmarks" / "results"
PART = Part("small", "docs/results.md")
TASKS = {"digits": "digits 5 to 9, small-vit (09)", "word_problems": "word problems, small-llama (10)"}
LEFT_OUT = ("losses", "spectra", "predictions", "start_predictions")


def part_text(records: dict[str, list[dict]]) -> str:
    """Return one table per task: a row per method, with the test scores before training and of every seed."""
    lines = []
    for task, rows in records.items():
        title = TASKS[task]
        first, metric = rows[0], rows[0]["metric"].replace("_", " ")
        heading = f"test {metric} per seed (0, 1, ...)"
        lines += [f"| {title} | trainable parameters | learning rate | before training | {heading} |"]
        lines += ["|---|---|---|---|---|"]
        for label in dict.fromkeys(row["label"] for row in rows):
            runs = [row for row in rows if row["label"] == label]
            scores = ", ".join(f"{run['test_score']:.3f}" for run in runs)
            start = sum(run["start_score"] for run in runs) / len(runs)
            count, rates = runs[0]["trainable_parameters"], rates_text(runs[0])
            lines += [f"| {label} | {count:,} | {rates} | {start:.3f} | {scores} |"]
        lines += [
            "",
            f"{first['rows']['train']:,} training rows, {first['settings']['epochs']} epochs, adapted layers: "
            f"{first['settings']['target_modules']}. {device_text(first['device'])}; "
            f"torch {first['versions']['torch']}. Record: `benchmarks/results/{task}.json`.",
            "",
        ]
    return "\n".join(lines)


def on_record() -> dict[str, list[dict]]:
    """Return the records that the repository has, by task."""
    paths = {task: RECORDS / f"{task}.json" for task in TASKS}
    return {task: json.loads(path.read_text(encoding="utf-8")) for task, path in paths.items() if path.exists()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write the tables of the embedded image and instruction tasks from the records of runs."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="folders of the runs, with results/ in them")
    found = [asdict(result) for folder in parser.parse_args().folders for result in results.read_all(folder)]
    for task in TASKS:
        new = [{k: v for k, v in row.items() if k not in LEFT_OUT} for row in found if row["task"] == task]
        if new:
            known = {(row["label"], row["seed"]): row for row in [*on_record().get(task, []), *new]}
            rows = list(known.values())
            order = list(dict.fromkeys(row["method"] for row in sorted(rows, key=lambda r: r["trainable_parameters"])))
            rows.sort(key=lambda row: (order.index(row["method"]), row["label"], row["seed"]))
            files.write_atomically(RECORDS / f"{task}.json", json.dumps(rows, indent=1) + "\n")
    text = part_text(on_record())
    PART.write(text)
    print(text)


if __name__ == "__main__":
    main()
