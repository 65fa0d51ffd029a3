r"""Collect the records of sweeps of every method over your own data sets, and write their tables.

    .venv/bin/circpeft sweep benchmarks/methods/pairs.toml --data-dir FOLDER --workers 2
    .venv/bin/python benchmarks/methods.py runs/pairs-cpu

FOLDER holds one folder per task, with the task's columns (`sentences.toml` and `pictures.toml` work like `pairs.toml`).
Records go into benchmarks/results/methods/, one per run, and replace those of the same data, method and seed. The whole
table is benchmarks/results/methods.md; a part of it goes into docs/results.md.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from page_parts import Part, device_text

from circpeft import files, methods, recipes, results

RECORDS = results.ROOT / "benchmarks" / "results" / "methods"
TABLE = RECORDS.with_suffix(".md")
PART = Part("methods", "docs/results.md")
# The methods that docs/results.md shows, if they have records.
PAGE_METHODS = (
    "head",
    "full",
    "lora",
    "fourierft",
    "boft",
    "c3a-peft",
    "c3a",
    "c3a:alpha=paper",
    "c3a:block_size=64",
    "c3a:alpha=paper:block_size=64:learning_rate=0.15",
    "cdvft",
)
# Name of the data -> its column head in docs/results.md.
PAGE_COLUMNS = {
    "clothing10_112px": "clothing, small-vit",
    "sst2": "SST-2, 1,000 sentences",
    "mrpc": "MRPC",
    "mrpc_h100": "MRPC on an H100",
    "rte": "RTE, 1,000 pairs",
}
# Fields of a record that are too long for the repository.
LONG_FIELDS = ("losses", "spectra", "predictions", "start_predictions", "groups")


def short_record(result: results.Result, name: str = "") -> dict:
    """Return a record for the repository, without its long parts, and with only the name of the data folder."""
    row = {name: value for name, value in asdict(result).items() if name not in LONG_FIELDS}
    name = name or Path(result.settings["data_dir"]).name
    return row | {"settings": {**row["settings"], "data_dir": ""}, "data_name": name}


def markdown(rows: list[dict]) -> str:
    """Return the whole table: a row per method; mean and range of test scores per data set, then the parameters."""
    names = list(dict.fromkeys(row["data_name"] for row in rows))
    order = list(methods.METHODS)
    labels = sorted({row["label"] for row in rows}, key=lambda label: (order.index(label.split(":")[0]), label))
    lines = [
        "# Every method under one protocol",
        "",
        "A score is the test score of the epoch with the best validation score. With several seeds, a cell has their "
        "mean, range and number. Parameters exclude the head. A method and its head each have one learning rate per "
        "model. Where several rates were tried on the embedded tasks, it was chosen there ([rates](rates.md)). No rate "
        "was chosen on these data. `alpha=paper` is the papers' scale of ΔW, which has rates of its own.",
        "",
    ]
    for name in names:
        first = next(row for row in rows if row["data_name"] == name)
        devices = sorted({row["device"] for row in rows if row["data_name"] == name})
        lines.append(
            f"- {name}: {first['settings']['model']}, {first['rows']['train']:,} training rows, "
            f"{first['settings']['epochs']} epochs, {first['metric']} on {first['rows']['test']:,} test rows "
            f"({first['split']}); {' and '.join(map(device_text, devices))}"
        )
    models = list(dict.fromkeys(row["settings"]["model"] for row in rows))
    heads = ["method", *names, *(f"trainable parameters, {model}" for model in models)]
    lines += ["", f"| {' | '.join(heads)} |", "|---|" + "---|" * (len(heads) - 1)]
    for label in labels:
        cells = []
        for name in names:
            scores = [row["test_score"] for row in rows if row["data_name"] == name and row["label"] == label]
            spread = f" ({min(scores):.3f} to {max(scores):.3f}, {len(scores)} seeds)" if len(scores) > 1 else ""
            mark = "*" if any(not at_default(r) for r in rows if (r["data_name"], r["label"]) == (name, label)) else ""
            cells.append(f"{mean(scores):.3f}{mark}{spread}" if scores else "")
        for model in models:
            counts = {r["trainable_parameters"] for r in rows if (r["settings"]["model"], r["label"]) == (model, label)}
            cells.append(" or ".join(f"{count:,}" for count in sorted(counts)))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    if any("|  |" in line for line in lines):
        lines += ["", "Empty cells were not run."]
    if any("*" in line for line in lines):
        lines += ["", "\\* With an earlier default learning rate, set before rates were tried on the embedded tasks."]
    return "\n".join(lines) + "\n"


def part_text(rows: list[dict]) -> str:
    """Return the short table for docs/results.md: mean of the test scores and number of seeds."""
    lines = [
        f"| {' | '.join(['method', *PAGE_COLUMNS.values(), 'parameters, MiniLM'])} |",
        "|---|" + "---|" * (len(PAGE_COLUMNS) + 1),
    ]
    for label in PAGE_METHODS:
        if not any(row["label"] == label for row in rows):
            continue
        cells = []
        for name in PAGE_COLUMNS:
            scores = [row["test_score"] for row in rows if (row["data_name"], row["label"]) == (name, label)]
            cells.append(f"{mean(scores):.3f} ({len(scores)})" if scores else "")
        run = next(row for row in rows if (row["label"], row["settings"]["model"]) == (label, "minilm"))
        lines.append(f"| {label} | {' | '.join(cells)} | {run['trainable_parameters']:,} |")
    return "\n".join([*lines, ""])


def at_default(row: dict) -> bool:
    """Return whether a row was run at the rates that its method has with its model now."""
    settings = row["settings"]
    fields = {"hyperparameters": settings["hyperparameters"], "model": settings["model"]}
    defaults = recipes.Recipe(row["task"], row["method"], **fields).rates
    return defaults == (settings["learning_rate"], settings["head_learning_rate"])


def main(argv: list[str] | None = None, records: Path = RECORDS) -> Path:
    """Copy the records of the folders, write the tables, and return the path of the whole table."""
    parser = argparse.ArgumentParser(description="Copy the records of sweeps over all methods, and write their tables.")
    parser.add_argument("folders", type=Path, nargs="+", help="output folders of sweeps")
    parser.add_argument("--name", default="", help="name of the data in the table (default: its folder's name)")
    arguments = parser.parse_args(argv)
    for folder in arguments.folders:
        new_rows = [short_record(result, arguments.name) for result in results.read_all(folder)]
        if not new_rows:
            parser.error(f"{folder} holds no records: give the output folder of a sweep, such as runs/pairs-cpu")
        for row in new_rows:
            name = f"{row['data_name']}-{row['label'].replace(':', '-').replace('=', '-')}-s{row['seed']}.json"
            files.write_atomically(records / name, json.dumps(row, indent=1) + "\n")
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(records.glob("*.json"))]
    files.write_atomically(records.with_suffix(".md"), markdown(rows))
    if records == RECORDS:
        PART.write(part_text(rows))
    return records.with_suffix(".md")


if __name__ == "__main__":
    print(main().read_text(encoding="utf-8"))
