"""The learning rates that methods take by default are those that the record of tried rates speaks for."""

import importlib.util
import json
from statistics import mean

import pytest

from circpeft import results
from circpeft.recipes import plan_file

SPEC = importlib.util.spec_from_file_location("rates", results.ROOT / "benchmarks" / "rates.py")
rates = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rates)
ROWS = json.loads(rates.RECORD.read_text(encoding="utf-8"))
TRIED = {
    (task, method): found
    for (task, method), found in rates.scores(ROWS).items()
    if len(found) > 1 and ":" not in method
}


@pytest.mark.parametrize(("task", "method"), TRIED)
def test_a_default_rate_is_the_best_tried_or_close_to_it(task, method):
    usual = rates.default(next(row for row in ROWS if (row["task"], row["method"]) == (task, method)))
    found = {rate: mean(scores) for rate, scores in TRIED[task, method].items()}
    assert usual in found and found[usual] >= max(found.values()) - 0.02


@pytest.mark.parametrize("path", sorted((results.ROOT / "benchmarks" / "rates").glob("*.toml")), ids=lambda p: p.stem)
def test_the_record_has_a_row_for_every_run_of_the_sweeps(path):
    asked = {
        (cell.label.replace(f":learning_rate={cell.rates[0]}", ""), cell.rates[0], cell.seed)
        for cell in plan_file(path).cells
    }
    assert asked == {(row["method"], row["learning_rate"], row["seed"]) for row in ROWS if row["task"] == path.stem}


def test_every_method_has_rates_on_record_for_images():
    assert {method for task, method in TRIED if task == "digits"} == set(rates.methods.METHODS)


def test_the_table_is_that_of_the_record():
    assert rates.TABLE.read_text(encoding="utf-8") == rates.written(ROWS)
    assert sorted(ROWS, key=rates.key) == ROWS


def test_the_readme_says_what_a_rate_does():
    found = {rate: mean(scores) for rate, scores in TRIED["digits", "fourierft"].items()}
    readme = (results.ROOT / "README.md").read_text(encoding="utf-8")
    said = f"FourierFT scores {found[0.03]:.2f} at one rate and {found[0.3]:.2f} at ten times it"
    assert said in " ".join(readme.split())


def test_the_readme_says_what_the_heads_rate_does():
    readme = " ".join((results.ROOT / "README.md").read_text(encoding="utf-8").split())
    found = {}
    for name in ("c3a-peft", "bitfit", "c3a", "cdvft", "lora"):
        usual = rates.default({"task": "digits", "method": name, "model": "small-vit"})
        [other] = [row["score"] for row in ROWS if row["method"] == f"{name}:head_learning_rate=0.03"]
        found[name] = mean(TRIED["digits", name][usual]), other
    for said, name in (("PEFT's C3A goes", "c3a-peft"), ("BitFit", "bitfit")):
        assert "{} from {:.2f} to {:.2f}".format(said, *found[name]) in readme
    for name in ("c3a", "cdvft", "lora"):
        assert abs(found[name][0] - found[name][1]) <= 0.01
