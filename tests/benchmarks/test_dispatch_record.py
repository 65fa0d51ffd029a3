"""The record of host times: it is on the page, and what the page claims of C3A holds in it; one tiny measurement."""

import json

import pytest


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("dispatch")


@pytest.fixture(scope="module")
def record(benchmark):
    return json.loads(benchmark.RECORD.read_text(encoding="utf-8"))


def test_the_page_shows_the_record(benchmark, record):
    assert benchmark.PAGE.read() == benchmark.page_text(record)
    assert [(row["width"], row["block_size"]) for row in record["rows"][::2]] == benchmark.SIZES


def test_a_tiny_layer_takes_no_longer_to_call_than_with_lora(record):
    tiny = [row for row in record["rows"] if row["width"] == 64 and row["backend"] == "auto"]
    assert len(tiny) == 2
    for row in tiny:
        for part in ("forward", "both"):
            assert row[part]["c3a"] <= row[part]["lora r=8"]
        assert row["forward"]["cdvft"] <= row["forward"]["lora r=8"]


def test_a_row_has_the_times_of_every_case(benchmark):
    row = benchmark.row(16, 8, "auto", rounds=2)
    for part in ("forward", "both"):
        assert list(row[part]) == ["frozen", "lora r=8", "c3a", "cdvft"] and row[part]["frozen"] > 0
