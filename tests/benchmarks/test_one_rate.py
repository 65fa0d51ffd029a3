"""The rows of tuned runs and of runs at one rate, and the table that compares them."""

import json
from dataclasses import replace

import pytest

from circpeft import results


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("one_rate")


def test_the_record_has_tuned_runs_at_other_rates_than_the_heads(benchmark):
    rows = [row for row in json.loads(benchmark.RECORD.read_text(encoding="utf-8")) if row["rates"] == benchmark.TUNED]
    assert {row["task"] for row in rows} == set(benchmark.MODELS)
    assert all(row["learning_rate"] != row["head_learning_rate"] for row in rows)
    assert all(row["learning_rate"] >= benchmark.PAPER_RATE for row in rows if row["method"].startswith("c3a"))
    counts = [sum((row["task"], row["method"]) == ("entailment", name) for row in rows) for name in ("lora", "c3a")]
    assert counts == [3, 3]


def test_a_planned_run_is_collected_and_one_with_another_setting_is_not(benchmark, tmp_path, monkeypatch):
    cell = benchmark.planned(["word_problems"], 1, tmp_path)[1]
    assert cell.rates == (1e-2, 1e-2) and cell.label == "c3a"
    found = [recorded(cell), recorded(cell.with_seed(4)), recorded(replace(cell, epochs=2))]
    monkeypatch.setattr(results, "read_all", lambda folder: found)
    rows = benchmark.rows_at_one_rate([tmp_path])
    assert [(row["method"], row["seed"], row["rates"]) for row in rows] == [
        ("c3a", 0, "one rate"),
        ("c3a", 4, "one rate"),
    ]


def test_loras_tuned_runs_count_again_only_where_the_recipe_is_that_of_one_rate(benchmark):
    row = {"rates": "tuned", "method": "lora", "task": "digits", "learning_rate": 3e-3, "head_learning_rate": 3e-4}
    llama = {**row, "task": "word_problems", "learning_rate": 1e-2}
    assert benchmark.lora_rows([row, llama]) == [{**row, "rates": "one rate"}, {**llama, "rates": "one rate"}]
    others = [{"learning_rate": 1e-2}, {"head_learning_rate": 3e-3}, {"method": "cdvft"}]
    minilm = {**row, "task": "entailment", "learning_rate": 1e-3}
    assert benchmark.lora_rows([*({**row, **other} for other in others), minilm]) == []


def recorded(cell) -> results.Result:
    """Return a record of a run that scored 0.5."""
    numbers = {"trainable_parameters": 1, "head_parameters": 0, "seconds": 1.0, "tokens_per_second": 1.0}
    numbers |= {"flops_per_token": 1.0, "base_flops_per_token": 1.0, "peak_bytes": 1, "best_epoch": 1}
    where = {"device": "CPU, 1 threads", "versions": {"torch": "2"}, "commit": "0", "code": "0", "data": "0"}
    scores = {"metric": "exact_match", "score": 0.5, "test_score": 0.5, "start_score": 0.0, "rows": {"train": 2000}}
    names = {"task": cell.task, "method": cell.method, "label": cell.label, "seed": cell.seed, "split": ""}
    return results.Result(**names, **scores, **numbers, **where, settings=cell.settings, finished="")


def test_the_table_has_means_ranges_and_the_difference(benchmark):
    common = {"task": "digits", "method": "c3a", "head_learning_rate": 3e-4, "device": "CPU, 1 threads"}
    tuned = [{**common, "rates": "tuned", "learning_rate": 0.6, "test_score": score} for score in (0.5, 0.7)]
    one = [{**common, "rates": "one rate", "learning_rate": 3e-3, "test_score": score} for score in (0.8, 1.0)]
    assert (
        "| digits, small-vit | c3a | 0.6 | 0.600 (0.500 to 0.700, 2 seeds) | 0.003 | 0.900 (0.800 to 1.000, 2 seeds) "
        "| +0.300 (standard error 0.141) |"
    ) in benchmark.part_text([*tuned, *one])
    assert "| c3a | 0.6 | 0.600 (0.500 to 0.700, 2 seeds) | 0.003 |  |  |" in benchmark.part_text(tuned)


def test_the_page_has_the_table_of_the_record(benchmark):
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert [benchmark.sort_key(row) for row in record] == sorted(map(benchmark.sort_key, record))
    if not any(row["rates"] == benchmark.ONE for row in record):
        pytest.skip("no run at one rate is recorded yet")
    assert benchmark.PART.read() == benchmark.part_text(record)
