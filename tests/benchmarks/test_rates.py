"""The default learning rates are the best, or nearly the best, of the recorded ones."""

import importlib.util
import json
from statistics import mean

import pytest

from circpeft import results
from circpeft.recipes import Recipe, parse_method, plan_file

SPEC = importlib.util.spec_from_file_location("rates", results.ROOT / "benchmarks" / "rates.py")
rates = importlib.util.module_from_spec(SPEC)
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(results.ROOT / "benchmarks"))  # rates.py imports page_parts.py
    SPEC.loader.exec_module(rates)
ROWS = json.loads(rates.RECORD.read_text(encoding="utf-8"))
# Of every method as it is by default; C3A is on record at the papers' scale.
TRIED = {
    (task, method): by_rate
    for (task, method), by_rate in rates.scores(ROWS).items()
    if len(by_rate) > 1 and parse_method(method)[1].keys() <= {"alpha"}
}


def tried_methods(task: str) -> set[str]:
    return {parse_method(method)[0] for name, method in TRIED if name == task}


@pytest.mark.parametrize(("task", "method"), TRIED)
def test_a_default_rate_is_the_best_tried_or_close_to_it(task, method):
    default = rates.default(next(row for row in ROWS if (row["task"], row["method"]) == (task, method)))
    means = {rate: mean(scores) for rate, scores in TRIED[task, method].items()}
    assert default in means and means[default] >= max(means.values()) - 0.02


def test_the_record_has_exactly_the_runs_of_the_sweeps():
    planned = {
        (cell.task, cell.label.replace(f":learning_rate={cell.rates[0]}", ""), cell.rates[0], cell.seed)
        for path in (results.ROOT / "benchmarks" / "rates").glob("*.toml")
        for cell in plan_file(path).cells
    }
    assert planned == {(row["task"], row["method"], row["learning_rate"], row["seed"]) for row in ROWS}


def test_every_method_has_recorded_rates_for_images_and_instructions():
    assert tried_methods("digits") == set(rates.methods.METHODS)
    assert tried_methods("word_problems") == set(rates.methods.METHODS) - {"bitfit"}


def test_the_table_agrees_with_the_record():
    assert rates.TABLE.read_text(encoding="utf-8") == rates.markdown(ROWS)
    assert sorted(ROWS, key=rates.sort_key) == ROWS


def scores_by_head_rate(task: str) -> dict[str, dict[float, float]]:
    """Return validation scores as ``{method: {rate of the head: score}}``, at the default rate of each method."""
    by_method: dict[str, dict[float, float]] = {}
    for row in ROWS:
        name, given = parse_method(row["method"])
        if row["task"] != task or not given.keys() <= {"alpha", "head_learning_rate"}:
            continue
        if row["learning_rate"] == rates.default(row):
            head_rate = Recipe(task, name, hyperparameters=given, model=row["model"]).rates[1]
            by_method.setdefault(name, {})[head_rate] = row["score"]
    return by_method


HEADS = {name: by_rate for name, by_rate in scores_by_head_rate("digits").items() if len(by_rate) > 1}


@pytest.mark.parametrize("method", HEADS)
def test_a_heads_default_rate_is_the_best_tried_or_close_to_it(method):
    default = Recipe("digits", method, model="small-vit").rates[1]
    assert len(HEADS[method]) >= 3 and HEADS[method][default] >= max(HEADS[method].values()) - 0.02


def test_every_adapter_has_recorded_rates_of_its_head():
    assert {*HEADS, "full", "head"} == set(rates.methods.METHODS)


def test_the_results_page_says_how_pefts_c3a_ends_and_what_another_cpu_does():
    page = " ".join((results.ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    theirs, ours = (
        max(mean(scores) for scores in TRIED["word_problems", method].values())
        for method in ("c3a-peft", "c3a:alpha=paper")
    )
    assert f"it answers {theirs:.3f} of the validation questions, ours {ours:.3f}" in page
    seed_0 = {
        (row["method"], row["learning_rate"]): row for row in ROWS if row["task"] == "word_problems" and not row["seed"]
    }
    blocks, full = seed_0["c3a:alpha=paper:block_size=32", 1.5]["score"], seed_0["full", 0.001]["score"]
    other_cpu = json.loads((results.ROOT / "benchmarks" / "results" / "word_problems.json").read_text(encoding="utf-8"))
    [other_full] = [row["score"] for row in other_cpu if (row["label"], row["seed"]) == ("full", 0)]
    assert f"to {blocks:.3f} on validation, and full fine-tuning to {full:.3f} instead of {other_full:.3f}" in page


def test_the_methods_page_says_what_rates_do():
    page = " ".join((results.ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split())
    means = {rate: mean(scores) for rate, scores in TRIED["digits", "fourierft"].items()}
    assert f"FourierFT scores {means[0.03]:.2f} at one rate and {means[0.3]:.2f} at ten times it" in page
    raised = {"PEFT's C3A goes": "c3a-peft", "BitFit": "bitfit", "FourierFT": "fourierft"}
    for subject, name in raised.items():
        assert f"{subject} from {HEADS[name][3e-4]:.2f} to {HEADS[name][0.03]:.2f}" in page
    for name in HEADS.keys() - raised.values():
        assert max(HEADS[name].values()) - HEADS[name][3e-4] < 0.02, name
