"""Statistics of benchmarks/evidence.py: means over seeds, paired differences, and the sentences that state them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.stats import t

THRESHOLD = 2.0  # standard errors; a smaller difference is called not distinguishable


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: the mean.
        error: its standard error; None for a single value.
        count: number of seeds.
    """

    mean: float
    error: float | None
    count: int

    @property
    def is_distinguishable(self) -> bool:
        """Whether the mean is at least two standard errors from zero. A single value never is."""
        return self.error is not None and self.mean != 0 and abs(self.mean) >= THRESHOLD * self.error


def estimate(values: Iterable[float]) -> Estimate | None:
    """Return the mean of the values with its standard error, or None without values.

    >>> estimate([1.0, 3.0])
    Estimate(mean=2.0, error=1.0, count=2)
    >>> estimate([1.0]).error is None, estimate([]) is None
    (True, True)
    """
    values = list(values)
    if not values:
        return None
    return Estimate(mean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None, len(values))


def by_seed(rows: Iterable[Mapping], measure: str = "test_score", **where: object) -> dict[int, float]:
    """Return the values of the rows that agree with ``where``, by seed.

    Raises: ValueError if two rows have the same seed: ``where`` is then too wide.

    >>> by_seed([{"seed": 0, "method": "c3a", "test_score": 0.9}], method="c3a")
    {0: 0.9}
    """
    found: dict[int, float] = {}
    for row in rows:
        if all(row[name] == value for name, value in where.items()):
            if row["seed"] in found:
                raise ValueError(f"seed {row['seed']} has two rows with {where}; name more of their settings")
            found[row["seed"]] = row[measure]
    return found


def minus(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Return the differences ``first - second`` of the seeds that both have.

    >>> minus({0: 3.0, 1: 4.0}, {1: 1.0, 2: 0.0})
    {1: 3.0}
    """
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Return the mean difference over the seeds that both have, or None if they share no seed.

    >>> paired({0: 0.9, 1: 0.8}, {0: 0.7, 1: 0.7}).count
    2
    """
    return estimate(minus(first, second).values())


def number_text(value: Estimate | None) -> str:
    """Return a mean for a table, with its standard error in brackets.

    >>> number_text(Estimate(0.9, 0.0125, 3)), number_text(Estimate(0.9, None, 1)), number_text(None)
    ('0.900 (0.013)', '0.900 (1 seed)', '')
    """
    if value is None:
        return ""
    return f"{value.mean:.3f} ({'1 seed' if value.error is None else f'{value.error:.3f}'})"


def compared(first: str, second: str, difference: Estimate | None) -> str:
    """Return a sentence that compares the scores of two settings.

    Args:
        first, second: names of the settings.
        difference: the paired difference, first minus second.

    >>> compared("b = 16", "b = 48", Estimate(0.021, 0.004, 3))
    'b = 16 scores 0.021 higher than b = 48 (standard error 0.004, 3 seeds).'
    >>> compared("b = 16", "b = 48", Estimate(0.01, 0.012, 3))
    'b = 16 and b = 48 are not distinguishable (difference +0.010, standard error 0.012, 3 seeds).'
    """
    if difference is None:
        return f"{first} and {second} are not compared: they share no seed."
    if difference.is_distinguishable:
        word = "higher" if difference.mean > 0 else "lower"
        return f"{first} scores {abs(difference.mean):.3f} {word} than {second} ({_spread(difference)})."
    return f"{first} and {second} are not distinguishable (difference {difference.mean:+.3f}, {_spread(difference)})."


def changed(what: str, first: str, second: str, change: Estimate | None) -> str:
    """Return a sentence that compares a difference in two settings.

    Args:
        what: name of the difference.
        first, second: where it was measured.
        change: the difference at the first place minus that at the second, over seeds.

    >>> changed("C3A's lead over LoRA", "100 rows", "1,611 rows", Estimate(0.03, 0.01, 3))
    "C3A's lead over LoRA is 0.030 larger at 100 rows than at 1,611 rows (standard error 0.010, 3 seeds)."
    >>> changed("The price", "depth 6", "depth 1", Estimate(-0.001, 0.01, 3))
    'The price at depth 6 is not distinguishable from that at depth 1 (change -0.001, standard error 0.010, 3 seeds).'
    """
    if change is None:
        return f"{what} at {first} is not compared with that at {second}: they share no seed."
    if change.is_distinguishable:
        word = "larger" if change.mean > 0 else "smaller"
        return f"{what} is {abs(change.mean):.3f} {word} at {first} than at {second} ({_spread(change)})."
    return (
        f"{what} at {first} is not distinguishable from that at {second} (change {change.mean:+.3f}, "
        f"{_spread(change)})."
    )


def chance_of(count: int) -> float:
    """Return how often a mean of ``count`` seeds is distinguishable from zero although the truth is zero.

    The values are taken as normally distributed.

    >>> round(chance_of(3), 3), chance_of(1)
    (0.184, 0.0)
    """
    return float(2 * t.sf(THRESHOLD, count - 1)) if count > 1 else 0.0


def expected_by_chance(differences: Iterable[Estimate | None]) -> float:
    """Return how many of the differences would be distinguishable if none of the settings differed.

    >>> round(expected_by_chance([Estimate(0.1, 0.1, 3), Estimate(0.1, 0.01, 3), None]), 2)
    0.37
    """
    return sum(chance_of(difference.count) for difference in differences if difference)


def _spread(value: Estimate) -> str:
    if value.error is None:
        return "1 seed, so no standard error"
    return f"standard error {value.error:.3f}, {value.count} seeds"
