"""The best learning rate of measured scores, and a power law through the best rates of several layers' shapes."""

import math
from dataclasses import dataclass

import numpy as np

DRAWS = 1000  # of the bootstrap over seeds


@dataclass(frozen=True)
class Best:
    """The best learning rate of one setting.

    Attributes:
        rate: the rate, from the lowest to the highest that was tried.
        spread: standard error of ``log(rate)``, by a bootstrap over seeds; NaN for one seed.
        inside: whether the rate lies between the lowest and the highest; else the best may lie outside.
    """

    rate: float
    spread: float
    inside: bool


@dataclass(frozen=True)
class PowerLaw:
    """The least-squares fit ``c * b^p * d^q`` of rates, with the standard errors of p and q.

    Attributes:
        c, p, q: the fit. ``q`` is None where all layers have one width: p and c then fit that width.
        p_error, q_error: standard errors from the residuals; NaN if there are as many numbers as parameters.
        count: number of rates.
    """

    c: float
    p: float
    q: float | None
    p_error: float
    q_error: float
    count: int


def vertex(by_rate: dict[float, float]) -> float:
    """Return the rate at the top of the parabola through the best value and its two neighbours, over ``log(rate)``.

    The result lies in the range of the rates. If the three values have no top, it is the rate of the best one.

    Args: ``by_rate``: a value for each rate; higher is better.

    Raises: ValueError for fewer than three rates.

    >>> vertex({0.01: 0.5, 0.1: 0.9, 1.0: 0.5})
    0.1
    """
    if len(by_rate) < 3:
        raise ValueError(f"a parabola needs three rates, got {len(by_rate)}: {sorted(by_rate)}")
    rates = sorted(by_rate)
    top = max(range(len(rates)), key=lambda i: by_rate[rates[i]])
    middle = min(max(top, 1), len(rates) - 2)
    near = rates[middle - 1 : middle + 2]
    x, y = np.log(near) - math.log(rates[top]), np.array([by_rate[rate] for rate in near])
    curve, slope, _ = np.polyfit(x, y, 2)
    shift = -slope / (2 * curve) if curve < -1e-12 else 0.0
    # Limited before exp: an almost flat parabola has its top far away.
    low, high = math.log(rates[0] / rates[top]), math.log(rates[-1] / rates[top])
    return float(np.round(rates[top] * math.exp(min(max(shift, low), high)), 12))


def best_rate(values: dict[float, dict[int, float]]) -> Best:
    """Return the best rate by the mean over seeds, with a bootstrap over seeds for its standard error.

    Args: ``values``: ``{rate: {seed: value}}``; higher is better.

    Raises: ValueError for fewer than three rates.
    """
    rate = vertex({r: float(np.mean(list(of.values()))) for r, of in values.items()})
    seeds = sorted({seed for of in values.values() for seed in of})
    spread, draw = math.nan, np.random.default_rng(0)
    if len(seeds) > 1:
        found = []
        for _ in range(DRAWS):
            drawn = [seeds[i] for i in draw.integers(0, len(seeds), len(seeds))]
            means = {r: float(np.mean(v)) for r, of in values.items() if (v := [of[s] for s in drawn if s in of])}
            if len(means) >= 3:
                found.append(math.log(vertex(means)))
        spread = float(np.std(found))
    low, high = min(values), max(values)
    return Best(rate, spread, low * 1.001 < rate < high * 0.999)


def power_law(rates: list[tuple[int, int, float]]) -> PowerLaw | None:
    """Return the least-squares fit of ``log(rate)`` by ``log(c) + p * log(b) + q * log(d)``.

    Args: ``rates``: block size b, width d and rate of each setting.

    Returns: None if there are too few settings, or only one block size in each width.

    >>> fit = power_law([(b, d, (b / d) ** 0.5) for d in (64, 256) for b in (d, d // 4, d // 16)])
    >>> round(fit.p, 6), round(fit.q, 6)
    (0.5, -0.5)
    """
    widths = {d for _, d, _ in rates}
    columns = [np.ones(len(rates)), np.log([b for b, _, _ in rates])]
    columns += [np.log([d for _, d, _ in rates])] if len(widths) > 1 else []
    matrix, y = np.stack(columns, 1) if rates else np.zeros((0, 2)), np.log([rate for _, _, rate in rates])
    if len(rates) < matrix.shape[1] or np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None
    solution = np.linalg.lstsq(matrix, y, rcond=None)[0]
    freedom = len(rates) - len(solution)
    errors = [math.nan] * len(solution)
    if freedom:
        variance = float(((y - matrix @ solution) ** 2).sum()) / freedom
        errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)) * variance).tolist()
    q, q_error = (float(solution[2]), errors[2]) if len(solution) > 2 else (None, math.nan)
    return PowerLaw(math.exp(solution[0]), float(solution[1]), q, errors[1], q_error, len(rates))
