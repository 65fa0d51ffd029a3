r"""The learning rates of `circpeft.method_specs`, tried on the embedded tasks: records of sweeps, and a table of them.

    for name in digits entailment word_problems word_problems_full; do
        .venv/bin/circpeft sweep benchmarks/rates/$name.toml; done
    .venv/bin/python benchmarks/rates.py runs/{digits,entailment,word_problems,word_problems_full}-cpu

Rates are chosen by the validation score. Writes benchmarks/results/rates.json, a row a run (rows of runs that are not
in the folders stay), and benchmarks/results/rates.md.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

from circpeft import files, methods, results
from circpeft.recipes import Recipe
from circpeft.results import Result

RECORD = results.ROOT / "benchmarks" / "results" / "rates.json"
TABLE = RECORD.with_suffix(".md")


def row_of(result: Result) -> dict:
    """What is kept of a run."""
    own = {name: value for name, value in result.settings["hyperparameters"].items() if name != "learning_rate"}
    return {
        "task": result.task,
        "model": result.settings["model"],
        "method": ":".join([result.method, *(f"{name}={value}" for name, value in sorted(own.items()))]),
        "learning_rate": result.settings["learning_rate"],
        "seed": result.seed,
        "score": result.score,
        "epochs": result.settings["epochs"],
        "rows": result.rows["train"],
        "device": result.device,
        "torch": result.versions["torch"],
        "commit": result.commit,
    }


def key(row: dict) -> tuple:
    """Rows in order: tasks by name, methods as the package lists them, then rates and seeds."""
    order = list(methods.METHODS)
    name = row["method"].split(":")[0]
    return row["task"], order.index(name), row["method"], row["learning_rate"], row["seed"]


def default(row: dict) -> float:
    """The rate that the method takes with the row's model if none is given."""
    return Recipe(row["task"], row["method"].split(":")[0], model=row["model"]).rates[0]


def scores(rows: list[dict]) -> dict[tuple[str, str], dict[float, list[float]]]:
    """Validation scores by task and method, and in these by rate."""
    found: dict[tuple[str, str], dict[float, list[float]]] = {}
    for row in rows:
        of_rate = found.setdefault((row["task"], row["method"]), {})
        of_rate.setdefault(row["learning_rate"], []).append(row["score"])
    return found


def written(rows: list[dict]) -> str:
    """A table a task: a row a method, its rates with the mean validation score; the default in bold."""
    lines = ["# Learning rates tried on the embedded tasks", ""]
    by_method = scores(rows)
    for task in dict.fromkeys(row["task"] for row in rows):
        of = next(row for row in rows if row["task"] == task)
        seeds = sorted({row["seed"] for row in rows if row["task"] == task})
        said = f"seed {seeds[0]}" + (", or the mean of as many as a cell says" if len(seeds) > 1 else "")
        lines += [
            f"## {task}: {of['model']}, {of['rows']:,} rows, {of['epochs']} epochs",
            "",
            f"Validation score, {said}; {of['device']}; torch {of['torch']}.",
            "",
            "| method | rate: score (the default in bold) |",
            "|---|---|",
        ]
        for (name, method), rates in by_method.items():
            if name != task:
                continue
            usual = default(next(row for row in rows if (row["task"], row["method"]) == (task, method)))
            cells = []
            for rate, found in rates.items():
                cell = f"{rate:g}: {mean(found):.3f}" + (f" ({len(found)} seeds)" if len(found) > 1 else "")
                cells.append(f"**{cell}**" if rate == usual else cell)
            lines.append(f"| {method} | {', '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep the scores of learning rates that were tried.")
    parser.add_argument("folders", type=Path, nargs="*", help="folders of sweeps, with results/ in them")
    rows = {key(row): row for row in json.loads(RECORD.read_text(encoding="utf-8"))} if RECORD.exists() else {}
    for folder in parser.parse_args().folders:
        rows |= {key(row): row for row in map(row_of, results.read_all(folder))}
    in_order = [rows[place] for place in sorted(rows)]
    files.write_atomically(RECORD, json.dumps(in_order, indent=1) + "\n")
    files.write_atomically(TABLE, written(in_order))
    print(written(in_order))


if __name__ == "__main__":
    main()
