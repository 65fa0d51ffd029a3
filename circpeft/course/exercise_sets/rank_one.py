"""Exercises on rank-one layers: their product and their start, and a rank-one network that is written by hand."""

import math

import torch

from ..exercise_inputs import random, rank_one_inputs
from ..exercise_type import Exercise, Twin


def rank_one(u: torch.Tensor, v: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return x M^T for M = u v^T. Shapes: u (d_out,), v (d_in,), x (points, d_in)."""
    return x @ torch.outer(u, v).T


def rank_one_layer(u: torch.Tensor, v: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (x @ v)[:, None] * u


def start_size(n: int, r: int, sd_a: float) -> float:
    """Return the standard deviation of B for which the entries of B A have the variance 1 / (3 n)."""
    return math.sqrt(1 / (3 * n) / (r * sd_a**2))


def soft_step(t: torch.Tensor, sharp: float) -> torch.Tensor:
    """Return the ramp from 0 to 1 around t = 0 with slope ``sharp``, entry by entry."""
    return (sharp * t + 0.5).clamp(0, 1)


def two_relus(t: torch.Tensor, sharp: float) -> torch.Tensor:
    return torch.relu(sharp * t + 0.5) - torch.relu(sharp * t - 0.5)


def nearest_value(s: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return outputs (points, classes), linear in s (points,), of which that of the nearest value in v is largest."""
    return s[:, None] * v - v**2 / 2


RANK_ONE = (
    Exercise(
        "06.1",
        "A rank-one layer without its matrix",
        1,
        5,
        "Do not build the matrix u v^T. Take the inner product of each point with v, then multiply u by it.",
        rank_one,
        rank_one_inputs,
        importance=3,
        allowed="products of vectors, `@` only between x and v.",
        no_matrix=lambda u, v, x: [(len(u), len(v))],
        solution=rank_one_layer,
        twins=(
            Twin(
                "u added",
                "You added u to the inner product. u v^T x is u times the number v^T x.",
                lambda u, v, x: (x @ v)[:, None] + u,
            ),
            Twin(
                "v made a unit vector",
                "You divided by the length of v, which gives a projection. M = u v^T contains v as it is.",
                lambda u, v, x: (x @ (v / v.norm()))[:, None] * u,
            ),
            Twin(
                "mean instead of sum",
                "You divided the inner product by d_in: it is a sum over the entries, not their mean.",
                lambda u, v, x: (x * v).mean(-1)[:, None] * u,
            ),
        ),
    ),
    Exercise(
        "06.2",
        "Two starts of equal size",
        2,
        10,
        "An entry of B A is a sum of r products of independent numbers with mean zero. The variance of each product is "
        "the product of the variances, and the variances of the r terms add up.",
        start_size,
        lambda g: [(128, 1, 0.05), (128, 2, 0.05), (64, 4, 0.1), (12, 3, 1 / 6), (768, 8, 0.02)],
        allowed="arithmetic and `math.sqrt`.",
        solution=start_size,
        twins=(
            Twin(
                "r terms taken as one",
                "You left out that an entry of B A is a sum of r terms. Their variances add up.",
                lambda n, r, sd_a: start_size(n, 1, sd_a),
            ),
            Twin(
                "standard deviations added",
                "You let the r terms grow like r. Independent terms grow like the square root of r.",
                lambda n, r, sd_a: start_size(n, r * r, sd_a),
            ),
            Twin(
                "range taken for a standard deviation",
                "Numbers uniform between -a and a have the variance a²/3, not a².",
                lambda n, r, sd_a: math.sqrt(3) * start_size(n, r, sd_a),
            ),
            Twin(
                "variance returned",
                "You returned the variance of B's entries. Take its square root.",
                lambda n, r, sd_a: start_size(n, r, sd_a) ** 2,
            ),
        ),
    ),
    Exercise(
        "06.4",
        "A soft step from two ReLUs",
        1,
        5,
        "ReLU(sharp t + 1/2) begins to rise at t = -1 / (2 sharp). What stops the rise at t = 1 / (2 sharp)?",
        soft_step,
        lambda g: [(random(g, n), sharp) for n, sharp in ((5, 1.0), (7, 2.0), (4, 0.5), (12, 20.0))],
        allowed="`torch.relu`, twice.",
        forbidden=("torch.clamp", "torch.Tensor.clamp", "torch.sigmoid", "torch.where"),
        solution=two_relus,
        twins=(
            Twin(
                "not centred",
                "Your step rises from t = 0 to 1 / sharp. Its middle belongs at t = 0: shift both ReLUs by one half.",
                lambda t, sharp: torch.relu(sharp * t) - torch.relu(sharp * t - 1),
            ),
            Twin(
                "a hard step",
                "Your step jumps from 0 to 1. A difference of two ReLUs rises with the slope sharp.",
                lambda t, sharp: (t > 0).to(t.dtype),
            ),
            Twin(
                "one ReLU only",
                "Your function goes on rising. Subtract the second ReLU, which starts where the value 1 is reached.",
                lambda t, sharp: torch.relu(sharp * t + 0.5),
            ),
            Twin(
                "slope without its shift",
                "Your step rises from t = -1/2 to 1/2, up to the height sharp. Multiply t by sharp inside the ReLUs "
                "and leave the 1/2 as it is.",
                lambda t, sharp: sharp * (torch.relu(t + 0.5) - torch.relu(t - 0.5)),
            ),
            Twin(
                "slope divided",
                "Your step has the slope 1 / sharp: multiply t by sharp.",
                lambda t, sharp: torch.relu(t / sharp + 0.5) - torch.relu(t / sharp - 0.5),
            ),
        ),
    ),
    Exercise(
        "06.5",
        "The nearest value by a linear layer",
        2,
        10,
        "v_j is nearest to s if (s - v_j)² is smallest. Expand the square: one term is the same for all j, so leave "
        "it out. The rest is linear in s.",
        nearest_value,
        lambda g: [(random(g, points), random(g, classes)) for points, classes in ((3, 2), (5, 4), (1, 8), (12, 3))],
        allowed="products and sums; the output has to be linear in s.",
        solution=nearest_value,
        twins=(
            Twin(
                "no bias",
                "You returned s v_j. Without the bias, the largest v_j wins for every s > 0, and the smallest for "
                "every s < 0: the term -v_j²/2 is missing.",
                lambda s, v: s[:, None] * v,
            ),
            Twin(
                "half missing",
                "Your bias is -v_j². In the expansion of -(s - v_j)²/2 it is -v_j²/2.",
                lambda s, v: s[:, None] * v - v**2,
            ),
            Twin(
                "the distance itself",
                "You returned -(s - v_j)²/2. Its largest output is the right one, but s² is not linear in s.",
                lambda s, v: -((s[:, None] - v) ** 2) / 2,
            ),
            Twin(
                "the absolute distance",
                "You returned -|s - v_j|. Its largest output is the right one, but it is not linear in s: it has a "
                "kink at v_j.",
                lambda s, v: -(s[:, None] - v).abs(),
            ),
        ),
    ),
)
