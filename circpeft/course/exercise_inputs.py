"""Inputs on which answers to the exercises are checked: seeded random tensors of several shapes."""

from collections.abc import Callable

import torch

# Odd, even and prime block sizes. The first is large enough to see a pattern in a wrong answer.
SIZES = (7, 4, 5, 12, 3)


def random(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Return float64 values from a standard normal distribution."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def vectors(count: int) -> Callable[[torch.Generator], list[tuple]]:
    """Return a function that makes this many vectors (b,) for each block size."""
    return lambda g: [tuple(random(g, b) for _ in range(count)) for b in SIZES]


def rank_inputs(g: torch.Generator) -> list[tuple]:
    """Return vectors whose circulants have full and reduced rank, some of them scaled: a rank does not depend on it."""
    waves = 2 * torch.pi * torch.arange(7, dtype=torch.float64) / 7
    zero_sum, ones = random(g, 6), torch.ones(5).double()
    alternating = torch.tensor([1.0, -1.0] * 4).double()
    odd = torch.tensor([0.0, 1.0, 0.0, -1.0]).double()
    # Ranks 2 (one conjugate pair), 5 of 6 (zero mean), 1, 1 (only the highest frequency), 0, 2 and 6 (imaginary
    # frequencies), 4 (two pairs), and 5.
    special = [torch.cos(2 * waves), zero_sum - zero_sum.mean(), ones, alternating, 0 * ones]
    special += [odd, torch.sin(waves) + torch.sin(2 * waves) + torch.sin(3 * waves)]
    scaled = [1e9 * (torch.cos(waves) + torch.cos(3 * waves)), 1e-13 * random(g, 5)]
    return [(c,) for c in special + scaled] + [(random(g, b),) for b in SIZES]


def block_inputs(g: torch.Generator) -> list[tuple]:
    """Return kernels (m, n, b) and inputs (n*b,)."""
    shapes = [(2, 2, 7), (2, 3, 3), (3, 2, 4), (1, 4, 5), (1, 1, 4)]
    return [(random(g, m, n, b), random(g, n * b)) for m, n, b in shapes]


def merge_inputs(g: torch.Generator) -> list[tuple]:
    """Return weights (m*b, n*b), kernels (m, n, b) and values of alpha."""
    shapes = [(2, 3, 4), (1, 2, 7), (3, 1, 5), (1, 1, 3)]
    return [(random(g, m * b, n * b), random(g, m, n, b), 0.5 + m) for m, n, b in shapes]


def rank_one_inputs(g: torch.Generator) -> list[tuple]:
    """Return u (d_out,), v (d_in,) and points (points, d_in)."""
    shapes = [(4, 3, 7), (5, 3, 2), (8, 5, 5), (1, 2, 2)]  # points, d_in, d_out
    return [(random(g, d_out), random(g, d_in), random(g, points, d_in)) for points, d_in, d_out in shapes]
