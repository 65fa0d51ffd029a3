"""The pages on learning rates: their figures are those of the formulas and of the records."""

import json
import re
from statistics import mean

import pytest

from circpeft import results
from circpeft.learning_rates import lora_step, paper_to_lora_factor, step_of_change
from circpeft.rates import suggest

PAGE = (results.ROOT / "docs" / "learning-rates.md").read_text(encoding="utf-8")
RUNS = (results.ROOT / "docs" / "learning-rate-runs.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
D = 768
NUMBERS = r" \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$"
STEPS = re.findall(r'^\| (LoRA r=|C3A b=)(\d+)(?:, `"(\w+)"`)?' + NUMBERS, RUNS, re.MULTILINE)


def test_the_table_has_both_scales_and_lora():
    assert len(STEPS) == 6 and {scale for _, _, scale, *_ in STEPS} == {"", "lora", "paper"}
    assert f"One step in a layer with {D} inputs and outputs" in RUNS


@pytest.mark.parametrize("row", STEPS, ids="-".join)
def test_a_row_of_the_table_is_that_of_the_formulas(row):
    method, size, scale, rate, *shown = row
    if method.startswith("LoRA"):
        step = lora_step(D, D, r=int(size), alpha=int(size), rate=float(rate))
    else:
        step = step_of_change("c3a", D, D, int(size), scale, float(rate))
    assert shown == [f"{value:.2g}" for value in (step.entry, step.norm, step.along_gradient)]


def test_rates_of_the_papers_scale_become_those_that_the_page_says():
    one_kernel, blocks = 0.3 * paper_to_lora_factor(384, 384, 384), 0.15 * paper_to_lora_factor(384, 384, 64)
    assert f"0.3 at b = 384 is {one_kernel:.1e}".replace("e-0", "e-") in TEXT
    assert f"and 0.15 at b = 64 is {blocks:.1e}".replace("e-0", "e-") in TEXT


def test_weight_decay_shrinks_a_kernel_as_the_page_says():
    assert f"in 500 steps, it would bring a kernel to {100 * (1 - 0.3 * 0.01) ** 500:.0f} % of its size" in TEXT


def test_the_output_of_the_command_is_that_of_the_suggestion():
    assert "circpeft rates minilm --method c3a:block_size=64\n" in PAGE
    assert f"```\n{suggest('minilm', 'c3a', block_size=64).text}\n```" in PAGE


def test_at_one_rate_c3a_and_cdvft_score_as_the_page_says():
    rows = json.loads((results.ROOT / "benchmarks" / "results" / "one_rate.json").read_text(encoding="utf-8"))
    scores: dict[tuple, dict[str, list[float]]] = {}
    for row in rows:
        if row["method"] != "lora":
            scores.setdefault((row["task"], row["method"]), {}).setdefault(row["rates"], []).append(row["test_score"])
    gains = [mean(of["one rate"]) - mean(of["tuned"]) for of in scores.values() if "tuned" in of]
    close = sum(round(gain, 3) >= -0.01 for gain in gains)
    assert (close, len(gains)) == (6, 8)
    assert "In six of eight comparisons, the mean score at LoRA's rate is within a point of the tuned score" in TEXT
