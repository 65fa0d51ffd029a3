"""The table of adapters as LoRA in docs/merging.md is that of its record, and the record is what the formulas allow."""

import json

import pytest


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("lora_error")


@pytest.fixture(scope="module")
def record(benchmark) -> dict:
    return json.loads(benchmark.RECORD.read_text(encoding="utf-8"))


def test_the_page_has_the_table_of_the_record(benchmark, record):
    assert benchmark.PART.read() == benchmark.part_text(record)


def test_the_error_falls_with_the_rank_and_the_full_rank_scores_like_the_adapter(benchmark, record):
    for method in benchmark.METHODS:
        adapter, *loras = [row for row in record["rows"] if row["method"] == method]
        errors = [row["error"] for row in loras]
        assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-6
        assert loras[-1]["score"] == adapter["score"] > loras[0]["score"]


def test_the_text_beside_the_table_is_true(benchmark, record):
    page = " ".join(benchmark.PART.path.read_text(encoding="utf-8").split())
    assert "A rank that is usual for LoRA loses most of the change: at rank 8, the error is 0.9." in page
    at_rank_8 = [row["error"] for row in record["rows"] if row["rank"] == 8]
    assert len(at_rank_8) == 2 and all(round(error, 1) == 0.9 for error in at_rank_8)
