"""The memory column of C3A Table 2: repeated counts agree with the record, and the record with its table."""

import json

import pytest
import torch
from torch.nn import functional


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("memory_column")


@pytest.fixture(scope="module")
def rows(benchmark):
    return json.loads(benchmark.RECORD.read_text(encoding="utf-8"))["rows"]


@pytest.mark.full
def test_repeated_counts_agree_with_the_record(benchmark, rows):
    counted = benchmark.computed(progress=False)
    assert [(row["row"], row["adapter_dropout"]) for row in counted] == [(r["row"], r["adapter_dropout"]) for r in rows]
    for row, known in zip(counted, rows, strict=True):
        assert ("gb" in row) == ("gb" in known) and row.get("gb", 0) == pytest.approx(known.get("gb", 0), rel=0.01)
    assert benchmark.markdown(rows) == benchmark.RECORD.with_suffix(".md").read_text(encoding="utf-8")


def test_counts_are_within_seven_percent_of_the_print_except_base_lora_without_dropout(rows):
    off = {r["row"] for r in rows if "gb" in r and abs(r["gb"] / r["printed_gb"] - 1) >= 0.07}
    assert off == {"base LoRA r=8"} and sum("gb" in row for row in rows) == 15


def test_attention_keeps_probabilities_and_dropout_a_mask_of_bytes(benchmark):
    [cell] = [cell for cell in benchmark.rows_of_table() if cell.row == "base BitFit"]
    one, two = (benchmark.kept_bytes(cell, layers=layers)["kept"] for layers in (1, 2))
    pairs = 64 * 12 * 256 * 256
    assert two - one > pairs * (4 + 4 + 1)  # the probabilities, what dropout left of them, and its mask
    assert functional.dropout(torch.ones(3), 0.0).equal(torch.ones(3))  # torch's own dropout is restored


def test_adapters_keep_their_input_and_lora_with_dropout_keeps_more(benchmark):
    cells = {cell.row: cell for cell in benchmark.rows_of_table()}
    kept = {name: benchmark.kept_bytes(cells[f"base {name}"], layers=1)["kept"] for name in ("C3A b=768/1", "LoRA r=8")}
    dropped = benchmark.kept_bytes(cells["base LoRA r=8"], layers=1, dropout=0.1)["kept"]
    x = 64 * 256 * 768
    assert abs(kept["C3A b=768/1"] - kept["LoRA r=8"]) < 0.1 * x * 4
    assert dropped - kept["LoRA r=8"] >= x * 4  # query and value no longer share one input
