r"""Every method on data sets of your own, one record a run, and a table of them.

    .venv/bin/python benchmarks/methods.py --data FOLDER --tasks rte,mrpc,sst2 --max-train 1000 --seeds 3
    .venv/bin/python benchmarks/methods.py --data FOLDER --tasks images=clothing --epochs 6

FOLDER holds one folder a task, in the task's schema (a task with another folder's name: task=folder). Records are kept
in benchmarks/results/methods/, a run that is on record is read, and the table is benchmarks/results/methods.md.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from circpeft import methods, recipes, results, tasks, training
from circpeft.course import comparison

RECORDS = results.ROOT / "benchmarks" / "results" / "methods"
TABLE = RECORDS.with_suffix(".md")
LEFT_OUT = (
    "losses",
    "spectra",
    "predictions",
    "start_predictions",
    "groups",
)  # of a record: too long for the repository


def planned(arguments: argparse.Namespace) -> list[tuple[recipes.Recipe, str]]:
    """The recipes, each with the name of its data."""
    found = []
    for text in arguments.tasks.split(","):
        task, _, folder = text.partition("=")
        settings = dict(recipes.profile("cpu", tasks.get(task).kind))
        settings["target_modules"] = recipes.targets(settings["target_modules"])
        settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
        settings |= {"max_train": arguments.max_train, "max_eval": arguments.max_eval}
        settings["data_dir"] = str(arguments.data / (folder or task))
        for seed in range(arguments.seeds):
            for name, own in recipes.parse_methods(arguments.methods):
                if name in methods.METHODS:
                    run = {"hyperparameters": own, "seed": seed, "output_dir": "runs/methods", "save_model": False}
                    found.append((recipes.Recipe(task, name, **run, **settings), folder or task))
    return found


def kept(result: results.Result, data: str) -> dict:
    """A record for the repository: without its long parts, and without the place where the data lay."""
    row = {name: value for name, value in asdict(result).items() if name not in LEFT_OUT}
    return row | {"settings": {**row["settings"], "data_dir": ""}, "data_name": data}


def written(rows: list[dict]) -> str:
    """The table: a row a method, a column a data set; test scores, mean and range over seeds, then parameters."""
    names = list(dict.fromkeys(row["data_name"] for row in rows))
    order = list(methods.METHODS)
    labels = sorted({row["label"] for row in rows}, key=lambda label: (order.index(label.split(":")[0]), label))
    lines = [
        "# Every method under one protocol",
        "",
        "Test scores, the best epoch chosen on validation; parameters without the head. A method, and the head beside "
        "it, has one learning rate a model, chosen on the embedded tasks where several were tried ([rates](rates.md)), "
        "never on these data.",
        "",
    ]
    for name in names:
        of = next(row for row in rows if row["data_name"] == name)
        lines.append(
            f"- {name}: {of['settings']['model']}, {of['rows']['train']:,} training rows, "
            f"{of['settings']['epochs']} epochs, {of['metric']} on {of['rows']['test']} test rows "
            f"({of['split']}); {of['device']}"
        )
    used = list(dict.fromkeys(row["settings"]["model"] for row in rows))
    heads = ["method", *names, *(f"trainable parameters, {model}" for model in used)]
    lines += ["", f"| {' | '.join(heads)} |", "|---|" + "---|" * (len(heads) - 1)]
    for label in labels:
        cells = []
        for name in names:
            scores = [row["test_score"] for row in rows if row["data_name"] == name and row["label"] == label]
            spread = f" ({min(scores):.3f} to {max(scores):.3f}, {len(scores)} seeds)" if len(scores) > 1 else ""
            old = "*" if any(not at_default(r) for r in rows if (r["data_name"], r["label"]) == (name, label)) else ""
            cells.append(f"{mean(scores):.3f}{old}{spread}" if scores else "")
        for model in used:
            counts = {r["trainable_parameters"] for r in rows if (r["settings"]["model"], r["label"]) == (model, label)}
            cells.append(" or ".join(f"{count:,}" for count in sorted(counts)))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    if any("|  |" in line for line in lines):
        lines += ["", "An empty cell was not run."]
    if any("*" in line for line in lines):
        lines += ["", "\\* at the rate that was the default before others were tried on the embedded tasks."]
    return "\n".join(lines) + "\n"


def at_default(row: dict) -> bool:
    """Whether a row was run at the rates that its method takes with its model today."""
    settings = row["settings"]
    fields = {"hyperparameters": settings["hyperparameters"], "model": settings["model"]}
    today = recipes.Recipe(row["task"], row["method"], **fields).rates
    return today == (settings["learning_rate"], settings["head_learning_rate"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Run every method on local data, and write the table.")
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a task")
    parser.add_argument("--tasks", required=True, help="names with commas between them, or task=folder")
    parser.add_argument("--methods", default="all")
    parser.add_argument("--max-train", type=int, default=0)
    parser.add_argument("--max-eval", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    comparison.quiet()
    plan = planned(arguments)
    training.check([recipe for recipe, _ in plan])
    for number, (recipe, data) in enumerate(plan, 1):
        print(f"[{number}/{len(plan)}] {data}: {recipe.label}, seed {recipe.seed}", flush=True)
        result = training.run(recipe)
        print(f"      test {result.metric} {result.test_score:.3f}, {result.seconds:.0f} s", flush=True)
        name = f"{data}-{recipe.label.replace(':', '-').replace('=', '-')}-s{recipe.seed}.json"
        results.write_atomically(RECORDS / name, json.dumps(kept(result, data), indent=1) + "\n")
        shutil.rmtree(training.weights_of(recipe), ignore_errors=True)
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    results.write_atomically(TABLE, written(rows))
    print(written(rows))


if __name__ == "__main__":
    main()
