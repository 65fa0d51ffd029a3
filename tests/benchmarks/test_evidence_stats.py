"""Differences with standard errors, and the tables and notes that show them."""

import re
from math import sqrt
from pathlib import Path

import pytest

THREE = (0, 1, 2)


@pytest.fixture(scope="module")
def stats(load_benchmark):
    return load_benchmark("evidence_stats")


@pytest.fixture(scope="module")
def claims(load_benchmark):
    return load_benchmark("evidence_claims")


def test_seeds_are_paired_so_their_own_spread_does_not_count(stats):
    """The scores spread by 0.2, the differences by 0.01 only."""
    difference = stats.paired({0: 0.5, 1: 0.7, 2: 0.9}, {0: 0.45, 1: 0.64, 2: 0.85, 3: 0.1})
    assert difference.count == 3 and difference.mean == pytest.approx(0.16 / 3)
    assert difference.error == pytest.approx(0.01 / 3) and difference.is_distinguishable
    unpaired = sqrt(stats.estimate([0.5, 0.7, 0.9]).error ** 2 + stats.estimate([0.45, 0.64, 0.85]).error ** 2)
    assert abs(difference.mean) < 2 * unpaired


@pytest.mark.parametrize(("mean", "expected"), [(0.0199, False), (0.02, True), (-0.02, True), (-0.0199, False)])
def test_two_standard_errors_are_the_threshold(stats, mean, expected):
    difference = stats.Estimate(mean, 0.01, 3)
    assert difference.is_distinguishable is expected
    assert stats.difference_text(difference).startswith("**") is expected


def test_a_tie_and_a_single_seed_are_not_distinguishable(stats):
    tie = stats.paired(dict.fromkeys(THREE, 0.5), dict.fromkeys(THREE, 0.5))
    assert (tie.mean, tie.error, tie.is_distinguishable) == (0.0, 0.0, False)
    one = stats.paired({0: 0.9}, {0: 0.1})
    assert one.error is None and not one.is_distinguishable
    assert stats.difference_text(one) == "+0.800 (1 seed)"
    assert stats.paired({0: 0.9}, {1: 0.1}) is None and stats.difference_text(None) == ""


def test_equal_differences_of_all_seeds_are_distinguishable(stats):
    assert stats.paired(dict.fromkeys(THREE, 0.75), dict.fromkeys(THREE, 0.5)).is_distinguishable


def test_a_cell_that_is_named_too_widely_is_refused(stats):
    rows = [{"seed": 0, "method": "c3a", "b": b, "test_score": 0.5} for b in (16, 48)]
    with pytest.raises(ValueError, match="seed 0 has two rows"):
        stats.by_seed(rows, method="c3a")


def test_the_page_states_how_often_three_seeds_deceive(stats):
    page = (Path(stats.__file__).parents[1] / "docs" / "evidence.md").read_text(encoding="utf-8")
    percent = re.search(r"three seeds.*?\((\d+) %\)", page, re.DOTALL)[1]
    assert round(100 * stats.chance_of(3)) == int(percent)


def block_rows(scores, method="cdvft", task="entailment"):
    """Rows of block sizes: ``{size: scores of seeds 0, 1, ...}``."""
    return [
        {"task": task, "method": method, "block_size": size, "seed": seed, "test_score": value}
        for size, values in scores.items()
        for seed, value in enumerate(values)
    ]


def test_a_larger_block_with_a_higher_score_is_said_to_be_not_always_worse(claims):
    rows = block_rows({16: (0.80, 0.81, 0.79), 48: (0.90, 0.91, 0.90), 96: (0.90, 0.92, 0.89)})
    found = claims.block_size(rows)
    assert found.rows == [("entailment", "CDVFT", "p = 96", "p = 16", "**+0.103 (0.003)**")]
    assert found.notes == [
        "Of 2 changes to the next larger block, distinguishable: 1 gain, 0 losses. By chance it would be 0.4 in all.",
        "Entailment, CDVFT: a larger p is not always worse.",
    ]


def test_a_score_that_falls_with_every_step_is_said_to_be_always_worse(claims):
    rows = block_rows({16: (0.90, 0.91, 0.92), 48: (0.8, 0.81, 0.8)}, method="c3a")
    counts, verdict = claims.block_size(rows).notes
    assert "0 gains, 1 loss." in counts and verdict == "Entailment, C3A: every larger b is worse."


def test_a_tie_of_block_sizes_shows_neither(claims):
    found = claims.block_size(block_rows({16: (0.9, 0.8, 0.7), 48: (0.8, 0.7, 0.9)}))
    assert len(found.notes) == 1 and "0 gains, 0 losses." in found.notes[0]
    assert found.rows[0][-1] == "+0.000 (0.100)"


@pytest.mark.parametrize("scores", [{16: (0.9,), 48: (0.8,)}, {16: (0.9, 0.9, 0.9), 48: (0.8,)}])
def test_missing_seeds_allow_no_conclusion(claims, scores):
    found = claims.block_size(block_rows(scores))
    assert found.notes[1:] == ["Entailment, CDVFT: too few seeds for a conclusion."]
    assert found.rows[0][-1] == "-0.100 (1 seed)"


def test_one_block_size_is_no_comparison(claims):
    found = claims.block_size(block_rows({16: (0.9, 0.8, 0.9)}))
    assert found.rows == [] and found.notes == []


def test_each_value_is_compared_with_the_next_lower_one(claims):
    rows = [
        {"task": "word_problems", "m": m, "seed": seed, "test_score": score}
        for m, scores in {3: (0.91, 0.91, 0.93), 1: (0.1, 0.12, 0.1), 2: (0.9, 0.92, 0.93)}.items()
        for seed, score in enumerate(scores)
    ]
    steps = claims.steps_of(rows, "m", task="word_problems")
    assert list(steps) == [2, 3] and steps[2].mean == pytest.approx(0.81) and steps[2].is_distinguishable
    assert steps[3].mean == pytest.approx(0.0) and not steps[3].is_distinguishable
    first, second = claims.num_factors(rows).rows
    assert first == ("word problems", "m = 2", "m = 1", "**+0.810 (0.010)**")
    assert second[:3] == ("word problems", "m = 3", "m = 2") and "**" not in second[3]


def test_the_lead_with_few_rows_is_compared_with_that_with_all(claims):
    scores = {("c3a", 100): 0.7, ("lora", 100): 0.6, ("c3a", 1611): 0.85, ("lora", 1611): 0.85}
    noise = {0: 0.0, 1: 0.01, 2: 0.02}
    rows = [
        {"task": "digits", "method": method, "training_rows": size, "seed": seed, "test_score": score + shift}
        for (method, size), score in scores.items()
        for seed, shift in noise.items()
    ]
    found = claims.scarce_data(rows)
    assert found.heads == ("difference", "100 rows", "1,611 rows", "100 rows minus 1,611 rows")
    [line] = found.rows
    assert line == ("C3A minus LoRA", "**+0.100 (0.000)**", "+0.000 (0.000)", "**+0.100 (0.000)**")


def test_a_single_number_of_rows_has_no_change(claims):
    rows = [
        {"task": "digits", "method": method, "training_rows": 100, "seed": seed, "test_score": 0.5 + seed / 10}
        for method in ("c3a", "lora")
        for seed in range(2)
    ]
    found = claims.scarce_data(rows)
    assert found.heads == ("difference", "100 rows") and found.rows == [("C3A minus LoRA", "+0.000 (0.000)")]


def wrong_rows(prices):
    """Rows of the wrong gradient: ``{depth: price of seeds 0, 1, ...}``, or depth, block size and factor as the key."""
    settings = {key if isinstance(key, tuple) else (key, 128, 1.0): values for key, values in prices.items()}
    return [
        {
            "task": "digits",
            "method": method,
            "depth": depth,
            "block_size": size,
            "factor": factor,
            "seed": seed,
            "test_score": 0.9 - (price if method == "c3a-peft" else 0.0),
        }
        for (depth, size, factor), values in settings.items()
        for seed, price in enumerate(values)
        for method in ("c3a", "c3a-peft")
    ]


def test_the_price_of_the_wrong_gradient_and_its_growth(claims):
    grows = claims.wrong_gradient(wrong_rows({1: (0.0, 0.01, -0.01), 4: (0.2, 0.21, 0.22)}))
    assert grows.notes[0].startswith(
        "Digits: the right gradient scores distinguishably higher in 1 of 2 settings, PEFT's in 0; by chance"
    )
    assert ("digits", "4 adapted layers", "1 adapted layer") == grows.rows[0][:3]
    assert grows.rows[0][3].startswith("**+0.210")
    flat = claims.wrong_gradient(wrong_rows({1: (0.0, 0.01, -0.01), 4: (0.01, -0.01, 0.0)}))
    assert "in 0 of 2 settings" in flat.notes[0] and "**" not in flat.rows[0][3]


def test_the_price_is_compared_over_rates_and_block_sizes(claims):
    prices = {(4, 128, 1.0): (0.1, 0.1, 0.1), (4, 128, 3.0): (0.5, 0.5, 0.5), (4, 8, 1.0): (0.0, 0.0, 0.0)}
    assert claims.wrong_gradient(wrong_rows(prices)).rows == [
        ("digits", "3 times the rate", "1 times the rate", "**+0.400 (0.000)**"),
        ("digits", "b = 128", "b = 8", "**+0.100 (0.000)**"),
    ]


def test_settings_at_the_score_of_guessing_are_counted(claims):
    rows = [{**row, "test_score": 0.21} for row in wrong_rows({1: (0.0, 0.0)})]
    assert "both gradients score within 0.05 of guessing: 1 of 1." in claims.wrong_gradient(rows).notes[1]
    assert len(claims.wrong_gradient(wrong_rows({1: (0.0, 0.0)})).notes) == 1


def test_a_gradient_without_its_counterpart_has_no_price(claims):
    rows = [row for row in wrong_rows({1: (0.1, 0.1)}) if row["method"] == "c3a"]
    found = claims.wrong_gradient(rows)
    assert found.rows == [] and found.notes == ["Digits: no setting has both gradients with the same seed yet."]
