r"""LoRA's learning rate for everything: runs at one rate per model, beside the tuned runs on record.

    .venv/bin/python benchmarks/one_rate.py --run [--tasks entailment word_problems digits] [--workers 2]
    .venv/bin/python benchmarks/one_rate.py FOLDER [FOLDER ...]

At one rate, every adapter has LoRA's rate for the model: MiniLM 1e-3, small-llama 1e-2, small-vit 3e-3. So has the head
of MiniLM. That of small-vit has 3e-4, as in LoRA's own run; small-llama has no new head. The tuned runs are those of
benchmarks/results/entailment.json, word_problems.json and digits.json, with a rate for each method and one for the
head, and C3A at the papers' scale. CDVFT has its default block size, where both scales are the same. With --run, it
trains what has no record yet. Without it, it only collects the records of the folders. Both write
benchmarks/results/one_rate.json (rows of other runs stay, also tuned ones that their file no longer has), and the part
of docs/learning-rate-runs.md between the markers "one-rate".
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

import cells
from page_parts import Part, device_text

from circpeft import files, results

RECORDS = results.ROOT / "benchmarks" / "results"
RECORD = RECORDS / "one_rate.json"
FOLDER = results.default_folder("one-rate")
PART = Part("one-rate", "docs/learning-rate-runs.md")
MODELS = {"entailment": "MiniLM", "word_problems": "small-llama", "digits": "small-vit"}
RATES = {"entailment": 1e-3, "word_problems": 1e-2, "digits": 3e-3}
METHODS = {
    "entailment": ("lora", "c3a", "c3a:block_size=64", "cdvft"),
    "word_problems": ("lora", "c3a", "c3a:block_size=32", "cdvft"),
    "digits": ("lora", "c3a", "c3a:block_size=32", "cdvft"),
}
SETTINGS = {"entailment": {"epochs": 3}, "digits": {"head_rate": 3e-4}}
TUNED, ONE = "tuned", "one rate"
PAPER_RATE = 0.1  # tuned rates of C3A at the papers' scale are above it, those of the scale "lora" far below


def planned(tasks: list[str], seeds: int, folder: Path) -> list:
    """Return the runs at one rate, seed by seed."""
    return [
        cells.cell(task, label, RATES[task], seed, folder, **SETTINGS.get(task, {}))
        for seed in range(seeds)
        for task in tasks
        for label in METHODS[task]
    ]


def row_of(record: dict, rates: str) -> dict:
    """Return the row of a run from its record as a dictionary. The method's name is without its rate and its scale."""
    settings = record["settings"]
    options = {k: v for k, v in settings["hyperparameters"].items() if k not in ("learning_rate", "alpha")}
    return {
        "rates": rates,
        "task": record["task"],
        "method": ":".join([record["method"], *(f"{name}={value}" for name, value in sorted(options.items()))]),
        "seed": record["seed"],
        "learning_rate": settings["learning_rate"],
        "head_learning_rate": settings["head_learning_rate"],
        "score": record["score"],
        "test_score": record["test_score"],
        "epochs": [epoch["score"] for epoch in record["epochs"]],
        "rows": record["rows"],
        "device": record["device"],
        "versions": record["versions"],
        "commit": record["commit"],
    }


def tuned_rows() -> list[dict]:
    """Return the tuned runs on record: of these methods, with other rates for the head, C3A at the papers' scale."""
    rows = []
    for task in MODELS:
        for record in json.loads((RECORDS / f"{task}.json").read_text(encoding="utf-8")):
            row = row_of(record, TUNED)
            at_scale = record["method"] != "c3a" or row["learning_rate"] >= PAPER_RATE
            if row["method"] in METHODS[task] and row["learning_rate"] != row["head_learning_rate"] and at_scale:
                rows.append(row)
    return rows


def lora_rows(tuned: list[dict]) -> list[dict]:
    """Return LoRA's tuned runs again as runs at one rate, where both recipes train the same: small-vit and small-llama.

    small-llama has no new head, so the rate of its head changes nothing.
    """
    heads = {"digits": SETTINGS["digits"]["head_rate"]}
    same = [row for row in tuned if row["method"] == "lora" and row["learning_rate"] == RATES[row["task"]]]
    same = [r for r in same if r["task"] == "word_problems" or r["head_learning_rate"] == heads.get(r["task"])]
    return [{**row, "rates": ONE} for row in same]


def rows_at_one_rate(folders: list[Path]) -> list[dict]:
    """Return the runs of the folders that have the settings of the runs at one rate, whatever their seed."""
    wanted = [{**cell.settings, "seed": None} for cell in planned(list(MODELS), 1, FOLDER)]
    found = cells.read(folders)
    return [row_of(asdict(result), ONE) for result in found if {**result.settings, "seed": None} in wanted]


def sort_key(row: dict) -> tuple:
    """Return the identity of a row, which is also its place in the record."""
    task = row["task"]
    return list(MODELS).index(task), METHODS[task].index(row["method"]), row["rates"] == ONE, row["seed"]


def error(scores: list[float]) -> float | None:
    """Return the standard error of the mean, or None for a single score.

    >>> error([1.0, 3.0]), error([1.0])
    (1.0, None)
    """
    return stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else None


def summary(scores: list[float]) -> str:
    """Return mean, range and number of the scores.

    >>> summary([0.5, 0.7])
    '0.600 (0.500 to 0.700, 2 seeds)'
    """
    if len(scores) < 2:
        return f"{scores[0]:.3f} (1 seed)" if scores else ""
    return f"{mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f}, {len(scores)} seeds)"


def difference(tuned: list[float], one: list[float]) -> str:
    """Return by how much the mean at one rate is higher, with its standard error if both have several seeds.

    >>> difference([0.5, 0.7], [0.8, 0.8])
    '+0.200 (standard error 0.100)'
    """
    if not tuned or not one:
        return ""
    errors = error(tuned), error(one)
    spread = "" if None in errors else f" (standard error {(errors[0] ** 2 + errors[1] ** 2) ** 0.5:.3f})"
    return f"{mean(one) - mean(tuned):+.3f}{spread}"


def part_text(rows: list[dict]) -> str:
    """Return the table: a row per task and method, with the tuned runs, those at one rate, and the difference."""
    heads = [
        "task, model",
        "method",
        "tuned rate",
        "test score, tuned",
        "one rate",
        "test score, one rate",
        "difference",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        here = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        tuned, one = ([row["test_score"] for row in here if row["rates"] == rates] for rates in (TUNED, ONE))
        rates = sorted({row["learning_rate"] for row in here if row["rates"] == TUNED})
        names = [f"{task}, {MODELS[task]}".replace("_", " "), method, ", ".join(f"{rate:g}" for rate in rates)]
        values = [summary(tuned), f"{RATES[task]:g}", summary(one), difference(tuned, one)]
        lines.append(f"| {' | '.join([*names, *values])} |")
    kinds = {
        rates: sorted({device_text(row["device"]) for row in rows if row["rates"] == rates}) for rates in (TUNED, ONE)
    }
    devices = "; ".join(f"{rates}: {' or '.join(names)}" for rates, names in kinds.items() if names)
    return "\n".join(
        [
            *lines,
            "",
            "In the runs with tuned rates, C3A has the papers' scale, every method has its own rate, and the head has "
            "3e-4. (CDVFT has its default block size, where both scales are the same.) In the runs with one rate, "
            'alpha is "lora", and every adapter has LoRA\'s rate on the model; the head has the same rate on MiniLM, '
            "and 3e-4 on small-vit. For LoRA on small-vit and small-llama, both recipes are the same. "
            "Scores are those of the epoch with the best validation score. "
            f"{devices}. Record: `benchmarks/results/one_rate.json`, by "
            "`benchmarks/one_rate.py`.",
            "",
        ]
    )


def main(argv: list[str] | None = None, record: Path = RECORD) -> None:
    """Run what is missing, if asked to, and write the record and the table."""
    parser = argparse.ArgumentParser(description="Compare runs at LoRA's learning rate with the tuned ones on record.")
    parser.add_argument("folders", type=Path, nargs="*", help="folders with results/ to collect")
    parser.add_argument("--run", action="store_true", help="first run what has no record yet, into --to")
    parser.add_argument("--to", type=Path, default=FOLDER, help="output folder of the runs")
    parser.add_argument("--tasks", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--workers", type=int, default=1, help="runs at the same time")
    arguments = parser.parse_args(argv)
    if not arguments.run and not arguments.folders:
        parser.error("give folders to collect, or --run")
    if arguments.run:
        cells.run("one-rate", planned(arguments.tasks, arguments.seeds, arguments.to), arguments.workers)
    tuned = tuned_rows()
    rows = {sort_key(row): row for row in [*tuned, *lora_rows(tuned)]}
    # A tuned run on record stays, because its own file may be written again at the new rates.
    rows |= {sort_key(row): row for row in json.loads(record.read_text(encoding="utf-8"))} if record.exists() else {}
    folders = [*arguments.folders, *([arguments.to] if arguments.run else [])]
    rows |= {sort_key(row): row for row in rows_at_one_rate(folders)}
    in_order = [rows[key] for key in sorted(rows)]
    files.write_atomically(record, json.dumps(in_order, indent=1) + "\n")
    print(part_text(in_order))
    if record == RECORD:
        PART.write(part_text(in_order))


if __name__ == "__main__":
    main()
