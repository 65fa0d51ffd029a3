"""Measure the ranks of the circulants that C3A and CDVFT learn on the digits, beside those of random kernels.

    .venv/bin/python benchmarks/kernel_ranks.py

C3A's section 4.2 says that "nearly all circulant delta matrices discovered by C3A are full rank". Every record of a run
has these ranks (``kernel_ranks``); this script trains three adapters and writes theirs to
benchmarks/results/kernel_ranks.json. The learnt kernels are those after the epoch with the best validation score.
"""

from __future__ import annotations

import json
from pathlib import Path

from circpeft import files, recipes, results, training
from circpeft.results import Result

RECORD = results.ROOT / "benchmarks" / "results" / "kernel_ranks.json"
METHODS = ("c3a", "c3a:block_size=32", "cdvft")
EPOCHS = 3


def recipe(method: str, output_dir: str | Path) -> recipes.Recipe:
    """Return the recipe of one run: the digits and small-vit, with the default rate of the method."""
    name, hyperparameters = recipes.parse_method(method)
    settings = recipes.settings_of("cpu", "images", {"epochs": EPOCHS})
    return recipes.Recipe("digits", name, hyperparameters=hyperparameters, output_dir=str(output_dir), **settings)


def row(result: Result) -> dict:
    """Return what the file keeps of a record."""
    names = ("task", "label", "seed", "start_score", "test_score", "best_epoch", "kernel_ranks", "device", "versions")
    return {name: getattr(result, name) for name in names}


def main() -> None:
    """Train the runs that are not on record, and write their ranks."""
    folder = results.default_folder("kernel_ranks")
    rows = [row(training.run(recipe(method, folder))) for method in METHODS]
    files.write_atomically(RECORD, json.dumps(rows, indent=1) + "\n")
    for entry in rows:
        for b, found in entry["kernel_ranks"].items():
            print(
                f"{entry['label']}: {found['full']} of {found['kernels']} kernels of length {b} have full rank "
                f"(random: {found['random']['full']}); mean stable rank {found['stable_rank']:.1f} "
                f"(random: {found['random']['stable_rank']:.1f}); test {entry['test_score']:.3f}"
            )


if __name__ == "__main__":
    main()
