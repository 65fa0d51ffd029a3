"""Statistics of benchmarks/evidence.py: means over seeds, paired differences, and how tables show them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import mean, stdev

from scipy.stats import t

THRESHOLD = 2.0  # standard errors; a smaller difference is called not distinguishable


@dataclass(frozen=True)
class Comparisons:
    """A table of differences, and notes on it.

    Attributes:
        heads: the column headings.
        rows: the cells of each row; a distinguishable difference is between double asterisks.
        notes: sentences about the differences.
    """

    heads: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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


def difference_text(value: Estimate | None, digits: int = 3) -> str:
    """Return a difference for a table: signed, with its standard error in brackets, in bold if it is distinguishable.

    Args:
        value: the difference; None if it was not measured.
        digits: number of digits after the point.

    >>> difference_text(Estimate(0.021, 0.004, 3)), difference_text(Estimate(-0.01, 0.012, 3))
    ('**+0.021 (0.004)**', '-0.010 (0.012)')
    >>> difference_text(Estimate(0.01, None, 1)), difference_text(None)
    ('+0.010 (1 seed)', '')
    """
    if value is None:
        return ""
    text = f"{value.mean:+.{digits}f} ({'1 seed' if value.error is None else f'{value.error:.{digits}f}'})"
    return f"**{text}**" if value.is_distinguishable else text


def chance_of(count: int) -> float:
    """Return how often a mean of ``count`` seeds is distinguishable from zero although the truth is zero.

    The values are taken as normally distributed.

    >>> round(chance_of(3), 3), chance_of(1)
    (0.184, 0.0)
    """
    return float(2 * t.sf(THRESHOLD, count - 1)) if count > 1 else 0.0


def expected_by_chance(differences: Iterable[Estimate | None]) -> float:
    """Return how many of the differences would be distinguishable if the settings did not differ.

    >>> round(expected_by_chance([Estimate(0.1, 0.1, 3), Estimate(0.1, 0.01, 3), None]), 2)
    0.37
    """
    return sum(chance_of(difference.count) for difference in differences if difference)
