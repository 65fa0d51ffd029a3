"""Differences with standard errors, and the sentences that state them."""

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
    assert ("not distinguishable" in stats.compared("A", "B", difference)) is not expected


def test_a_tie_and_a_single_seed_are_not_distinguishable(stats):
    tie = stats.paired(dict.fromkeys(THREE, 0.5), dict.fromkeys(THREE, 0.5))
    assert (tie.mean, tie.error, tie.is_distinguishable) == (0.0, 0.0, False)
    one = stats.paired({0: 0.9}, {0: 0.1})
    assert one.error is None and not one.is_distinguishable
    assert "1 seed, so no standard error" in stats.compared("A", "B", one)
    assert stats.paired({0: 0.9}, {1: 0.1}) is None
    assert stats.compared("A", "B", None) == "A and B are not compared: they share no seed."


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
    (sentence,) = claims.block_size(rows)
    assert sentence.startswith(
        "Entailment, CDVFT: of 2 steps to the next larger p, 1 raises the score (16 to 48), 0 low"
    )
    assert "about 0.4 would seem distinguishable. A larger p is not always worse here. p = 96 scores" in sentence


def test_a_score_that_falls_with_every_step_is_said_to_be_always_worse(claims):
    (sentence,) = claims.block_size(block_rows({16: (0.90, 0.91, 0.92), 48: (0.8, 0.81, 0.8)}, method="c3a"))
    assert "1 lowers it (16 to 48)" in sentence and "Every larger b is worse here." in sentence


def test_a_tie_of_block_sizes_shows_neither(claims):
    (sentence,) = claims.block_size(block_rows({16: (0.9, 0.8, 0.7), 48: (0.8, 0.7, 0.9)}))
    assert "1 is not distinguishable" in sentence and "No larger p is shown to be better here" in sentence
    assert "p = 48 and p = 16 are not distinguishable" in sentence


@pytest.mark.parametrize("scores", [{16: (0.9,), 48: (0.8,)}, {16: (0.9, 0.9, 0.9), 48: (0.8,)}])
def test_missing_seeds_allow_no_conclusion(claims, scores):
    (sentence,) = claims.block_size(block_rows(scores))
    assert "Too few seeds are measured for a conclusion." in sentence and "worse here" not in sentence


def test_one_block_size_is_no_comparison(claims):
    assert claims.block_size(block_rows({16: (0.9, 0.8, 0.9)})) == ["Entailment, CDVFT: only one size is measured."]


def test_the_numbers_of_factors_are_compared_in_order(claims):
    rows = [
        {"task": "word_problems", "m": m, "seed": seed, "test_score": score}
        for m, scores in {1: (0.1, 0.12, 0.1), 2: (0.9, 0.92, 0.93), 3: (0.91, 0.91, 0.93)}.items()
        for seed, score in enumerate(scores)
    ]
    first, second = claims.num_factors(rows)
    assert first.startswith("Word problems: m = 2 scores 0.810 higher than m = 1 (standard error")
    assert "m = 3 and m = 2 are not distinguishable" in second


def test_the_lead_with_few_rows_is_compared_with_that_with_all(claims):
    scores = {("c3a", 100): 0.7, ("lora", 100): 0.6, ("c3a", 1611): 0.85, ("lora", 1611): 0.85}
    noise = {0: 0.0, 1: 0.01, 2: 0.02}
    rows = [
        {"task": "digits", "method": method, "training_rows": size, "seed": seed, "test_score": score + shift}
        for (method, size), score in scores.items()
        for seed, shift in noise.items()
    ]
    (sentence,) = claims.scarce_data(rows)
    assert sentence.startswith(
        "With 100 training rows, C3A scores 0.100 higher than LoRA (standard error 0.000, 3 seeds)"
    )
    assert "The lead of C3A over LoRA is 0.100 larger at 100 rows than at 1,611 rows" in sentence


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
    costs, grows = claims.wrong_gradient(wrong_rows({1: (0.0, 0.01, -0.01), 4: (0.2, 0.21, 0.22)}))
    assert costs.startswith(
        "Digits: in 1 of 2 settings C3A scores distinguishably higher with the right gradient, in 0"
    )
    assert "0.210 larger at 4 adapted layers than at 1 adapted layer" in grows
    same, flat = claims.wrong_gradient(wrong_rows({1: (0.0, 0.01, -0.01), 4: (0.01, -0.01, 0.0)}))
    assert "in 0 of 2 settings" in same and "not distinguishable from that at 1 adapted layer" in flat


def test_the_price_is_compared_over_rates_and_block_sizes(claims):
    prices = {(4, 128, 1.0): (0.1, 0.1, 0.1), (4, 128, 3.0): (0.5, 0.5, 0.5), (4, 8, 1.0): (0.0, 0.0, 0.0)}
    _, rate, size = claims.wrong_gradient(wrong_rows(prices))
    assert "0.400 larger at 3 times the rate than at 1 times the rate" in rate
    assert "0.100 larger at b = 128 than at b = 8" in size


def test_settings_at_the_score_of_guessing_are_counted(claims):
    rows = [{**row, "test_score": 0.21} for row in wrong_rows({1: (0.0, 0.0)})]
    assert "in 1 of these settings both gradients score within 0.05 of guessing" in claims.wrong_gradient(rows)[1]
    assert len(claims.wrong_gradient(wrong_rows({1: (0.0, 0.0)}))) == 1


def test_a_gradient_without_its_counterpart_has_no_price(claims):
    rows = [row for row in wrong_rows({1: (0.1, 0.1)}) if row["method"] == "c3a"]
    assert claims.wrong_gradient(rows) == ["Digits: no setting has both gradients with the same seed yet."]
