"""The verdict on the losses of a training, at the edges of each of its rules."""

import math

import pytest

from circpeft.hf_peft.loss_trend import STEPS, WINDOW, LossTrend


def around(mean, distance):
    """Twenty losses with this mean, each this far from it; the variance of the sample is 20/19 of its square."""
    return [mean + distance, mean - distance] * (WINDOW // 2)


@pytest.mark.parametrize(("first", "last"), [(0.1, 0.05), (0.1, 0.0), (0.0, 0.1)])
@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_a_loss_is_flat_up_to_one_standard_error_below_its_start_in_any_unit(first, last, unit):
    error = unit * math.sqrt((first**2 + last**2) / 19)  # of the difference of two means of twenty
    start = around(2 * unit, first * unit)
    assert LossTrend(start, around(2 * unit - 0.99 * error, last * unit)).verdict() == "flat"
    assert LossTrend(start, around(2 * unit - 1.01 * error, last * unit)).verdict() == ""


def test_a_loss_that_rises_at_once_is_compared_with_its_first_value_and_three_deviations():
    first = [1.0, *[2.0] * 19]
    most = 1.5 * (1 + 3 * 0.1 * math.sqrt(20 / 19))
    assert most > 1.95, "below the mean of the first twenty it would be flat"
    assert LossTrend(first, around(0.99 * most, 0.1)).verdict() == "flat"
    assert LossTrend(first, around(1.01 * most, 0.1)).verdict() == "risen"


@pytest.mark.parametrize("loss", [0.0, -1.0, math.inf, math.nan])
def test_a_loss_that_is_not_positive_and_finite_is_not_judged(loss):
    assert LossTrend(around(2.0, 0.0), around(2.0, 0.0)).verdict() == "flat"
    assert LossTrend([*around(2.0, 0.0)[1:], loss], around(2.0, 0.0)).verdict() == ""
    assert LossTrend(around(2.0, 0.0), [*around(2.0, 0.0)[1:], loss]).verdict() == ""


def test_the_first_and_the_last_twenty_losses_are_kept_and_only_warm_steps_count():
    trend = LossTrend()
    for step in range(STEPS + 9):
        assert not trend.complete
        trend.add(float(step), warm=step >= 9)
        assert trend.counted == max(step - 8, 0)
    assert trend.complete and trend.counted == 100
    assert trend.first == [*range(20)] and trend.last == [*range(89, 109)]
    assert LossTrend(**trend.state()).state() == trend.state()
