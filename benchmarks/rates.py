r"""Collect the validation scores of learning rates tried on the embedded tasks: the basis of `circpeft.method_specs`.

    for name in digits entailment word_problems word_problems_full; do
        .venv/bin/circpeft sweep benchmarks/rates/$name.toml; done
    .venv/bin/python benchmarks/rates.py runs/{digits,entailment,word_problems,word_problems_full}-cpu

Rates are chosen by validation score. Writes benchmarks/results/rates.json, one row per run (rows of other runs stay),
and benchmarks/results/rates.md.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

from page_parts import device_text

from circpeft import files, methods, results
from circpeft.recipes import Recipe, parse_method
from circpeft.results import Result

RECORD = results.ROOT / "benchmarks" / "results" / "rates.json"
TABLE = RECORD.with_suffix(".md")


def row_of(result: Result) -> dict:
    """Return the row of a run: its settings, its validation score and its device."""
    options = {name: value for name, value in result.settings["hyperparameters"].items() if name != "learning_rate"}
    return {
        "task": result.task,
        "model": result.settings["model"],
        "method": ":".join([result.method, *(f"{name}={value}" for name, value in sorted(options.items()))]),
        "learning_rate": result.settings["learning_rate"],
        "seed": result.seed,
        "score": result.score,
        "epochs": result.settings["epochs"],
        "rows": result.rows["train"],
        "device": result.device,
        "torch": result.versions["torch"],
        "commit": result.commit,
    }


def sort_key(row: dict) -> tuple:
    """Return the sort key of a row: task name, position of the method in the package, learning rate, seed."""
    order = list(methods.METHODS)
    name = row["method"].split(":")[0]
    return row["task"], order.index(name), row["method"], row["learning_rate"], row["seed"]


def default(row: dict) -> float:
    """Return the default learning rate of the method of a row, at the row's scale of ΔW and with its model."""
    name, hyperparameters = parse_method(row["method"])
    return Recipe(row["task"], name, hyperparameters=hyperparameters, model=row["model"]).rates[0]


def scores(rows: list[dict]) -> dict[tuple[str, str], dict[float, list[float]]]:
    """Return the validation scores as ``{(task, method): {rate: [score, ...]}}``."""
    by_method: dict[tuple[str, str], dict[float, list[float]]] = {}
    for row in rows:
        by_rate = by_method.setdefault((row["task"], row["method"]), {})
        by_rate.setdefault(row["learning_rate"], []).append(row["score"])
    return by_method


def markdown(rows: list[dict]) -> str:
    """Return one table per task: a row per method with the mean validation score of each rate, the default in bold."""
    scale_text = "`alpha=paper` is the papers' scale of ΔW, which has rates of its own."
    lines = ["# Learning rates tried on the embedded tasks", "", scale_text, ""]
    by_method = scores(rows)
    for task in dict.fromkeys(row["task"] for row in rows):
        first = next(row for row in rows if row["task"] == task)
        seeds = sorted({row["seed"] for row in rows if row["task"] == task})
        seeds_text = f"seed {seeds[0]}" + (" (or the mean of several seeds, where stated)" if len(seeds) > 1 else "")
        lines += [
            f"## {task}: {first['model']}, {first['rows']:,} rows, {first['epochs']} epochs",
            "",
            f"Validation score with {seeds_text}; {device_text(first['device'])}; torch {first['torch']}.",
            "",
            "| method | learning rate: score (default rate in bold) |",
            "|---|---|",
        ]
        for (name, method), rates in by_method.items():
            if name != task:
                continue
            default_rate = default(next(row for row in rows if (row["task"], row["method"]) == (task, method)))
            cells = []
            for rate, values in rates.items():
                cell = f"{rate:g}: {mean(values):.3f}" + (f" ({len(values)} seeds)" if len(values) > 1 else "")
                cells.append(f"**{cell}**" if rate == default_rate else cell)
            lines.append(f"| {method} | {', '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Collect the validation scores of learning rates from sweeps, and write their tables."
    )
    parser.add_argument("folders", type=Path, nargs="*", help="output folders of sweeps (they hold results/)")
    rows = {sort_key(row): row for row in json.loads(RECORD.read_text(encoding="utf-8"))} if RECORD.exists() else {}
    for folder in parser.parse_args().folders:
        rows |= {sort_key(row): row for row in map(row_of, results.read_all(folder))}
    in_order = [rows[position] for position in sorted(rows)]
    files.write_atomically(RECORD, json.dumps(in_order, indent=1) + "\n")
    files.write_atomically(TABLE, markdown(in_order))
    print(markdown(in_order))


if __name__ == "__main__":
    main()
