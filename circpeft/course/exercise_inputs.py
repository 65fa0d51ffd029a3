"""Inputs on which answers to the exercises are checked: seeded random tensors of several shapes."""

from collections.abc import Callable

import torch

SIZES = (3, 4, 5, 7, 12)  # odd, even and prime block sizes


def random(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Return float64 values from a standard normal distribution."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def vectors(count: int) -> Callable[[torch.Generator], list[tuple]]:
    """Return a function that makes this many vectors (b,) for each block size."""
    return lambda g: [tuple(random(g, b) for _ in range(count)) for b in SIZES]


def rank_inputs(g: torch.Generator) -> list[tuple]:
    """Return vectors whose circulants have full and reduced rank."""
    zero_sum = random(g, 6)
    waves = 2 * torch.pi * torch.arange(7, dtype=torch.float64) / 7
    ones, alternating = torch.ones(5).double(), torch.tensor([1.0, -1.0] * 4).double()
    # Ranks 1, 5 of 6 (zero mean), 1 (only the highest frequency), 2 (one conjugate pair) and 0.
    special = [ones, zero_sum - zero_sum.mean(), alternating, torch.cos(2 * waves), 0 * ones]
    return [(c,) for c in special] + [(random(g, b),) for b in SIZES]


def block_inputs(g: torch.Generator) -> list[tuple]:
    """Return kernels (m, n, b) and inputs (n*b,)."""
    shapes = [(1, 1, 4), (2, 3, 3), (3, 2, 4), (1, 4, 5), (2, 2, 7)]
    return [(random(g, m, n, b), random(g, n * b)) for m, n, b in shapes]


def merge_inputs(g: torch.Generator) -> list[tuple]:
    """Return weights (m*b, n*b), kernels (m, n, b) and values of alpha."""
    shapes = [(1, 1, 3), (2, 3, 4), (3, 1, 5), (1, 2, 7)]
    return [(random(g, m * b, n * b), random(g, m, n, b), 0.5 + m) for m, n, b in shapes]


def rank_one_inputs(g: torch.Generator) -> list[tuple]:
    """Return u (d_out,), v (d_in,) and points (points, d_in)."""
    shapes = [(1, 2, 2), (5, 3, 2), (4, 2, 7), (8, 5, 5)]  # points, d_in, d_out
    return [(random(g, d_out), random(g, d_in), random(g, points, d_in)) for points, d_in, d_out in shapes]
