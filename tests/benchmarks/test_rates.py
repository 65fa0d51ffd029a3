"""The learning rates that methods take by default are those that the record of tried rates speaks for."""

import importlib.util
import json
from statistics import mean

import pytest

from circpeft import results
from circpeft.recipes import Recipe, plan_file

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


def test_the_record_has_a_row_for_every_run_of_the_sweeps_and_no_other():
    asked = {
        (cell.task, cell.label.replace(f":learning_rate={cell.rates[0]}", ""), cell.rates[0], cell.seed)
        for path in (results.ROOT / "benchmarks" / "rates").glob("*.toml")
        for cell in plan_file(path).cells
    }
    assert asked == {(row["task"], row["method"], row["learning_rate"], row["seed"]) for row in ROWS}


def test_every_method_has_rates_on_record_for_images_and_instructions():
    assert {method for task, method in TRIED if task == "digits"} == set(rates.methods.METHODS)
    assert {method for task, method in TRIED if task == "word_problems"} == set(rates.methods.METHODS) - {"bitfit"}


def test_the_table_is_that_of_the_record():
    assert rates.TABLE.read_text(encoding="utf-8") == rates.written(ROWS)
    assert sorted(ROWS, key=rates.key) == ROWS


def heads(task: str) -> dict[str, dict[float, float]]:
    """Validation scores by method and rate of the head, each at the method's own default rate."""
    found: dict[str, dict[float, float]] = {}
    for row in ROWS:
        name, _, own = row["method"].partition(":head_learning_rate=")
        if row["task"] != task or ":" in name:
            continue
        usual = Recipe(task, name, model=row["model"]).rates
        if row["learning_rate"] == usual[0]:
            found.setdefault(name, {})[float(own) if own else usual[1]] = row["score"]
    return found


HEADS = {name: found for name, found in heads("digits").items() if len(found) > 1}


@pytest.mark.parametrize("method", HEADS)
def test_a_heads_default_rate_is_the_best_tried_or_close_to_it(method):
    usual = Recipe("digits", method, model="small-vit").rates[1]
    assert len(HEADS[method]) >= 3 and HEADS[method][usual] >= max(HEADS[method].values()) - 0.02


def test_every_adapter_has_rates_of_its_head_on_record():
    assert {*HEADS, "full", "head"} == set(rates.methods.METHODS)


def test_the_results_page_says_how_pefts_c3a_ends_and_what_another_cpu_does():
    page = " ".join((results.ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    best = {name: max(mean(found) for found in TRIED["word_problems", name].values()) for name in ("c3a-peft", "c3a")}
    assert f"it answers {best['c3a-peft']:.3f} of the validation questions, ours {best['c3a']:.3f}" in page
    here = {
        (row["method"], row["learning_rate"]): row for row in ROWS if row["task"] == "word_problems" and not row["seed"]
    }
    blocks, full = here["c3a:block_size=32", 1.5]["score"], here["full", 0.001]["score"]
    before = json.loads((results.ROOT / "benchmarks" / "results" / "word_problems.json").read_text(encoding="utf-8"))
    [usual] = [row["score"] for row in before if (row["label"], row["seed"]) == ("full", 0)]
    assert f"to {blocks:.3f} on validation, and full fine-tuning to {full:.3f} instead of {usual:.3f}" in page


def test_the_methods_page_says_what_rates_do():
    page = " ".join((results.ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split())
    found = {rate: mean(scores) for rate, scores in TRIED["digits", "fourierft"].items()}
    assert f"FourierFT scores {found[0.03]:.2f} at one rate and {found[0.3]:.2f} at ten times it" in page
    raised = {"PEFT's C3A goes": "c3a-peft", "BitFit": "bitfit", "FourierFT": "fourierft"}
    for said, name in raised.items():
        assert f"{said} from {HEADS[name][3e-4]:.2f} to {HEADS[name][0.03]:.2f}" in page
    for name in HEADS.keys() - raised.values():
        assert max(HEADS[name].values()) - HEADS[name][3e-4] < 0.02, name
