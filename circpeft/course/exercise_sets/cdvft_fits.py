"""Exercises on what CDVFT's factors can express: equal products, and a step of the method that fits them."""

import torch

from ..exercise_inputs import random, vectors
from ..exercise_type import Exercise, Twin


def with_ones_in_front(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return factors (d,) of the same product A3 C A1 whose diagonals both begin with 1."""
    return a1 / a1[0], c * a1[0] * a3[0], a3 / a3[0]


def damped_step(J: torch.Tensor, r: torch.Tensor, damping: float) -> torch.Tensor:
    """Return the step that minimises |J step + r|² + damping |step|². Shapes: J (n, k), r (n,), step (k,)."""
    return torch.linalg.solve(J.T @ J + damping * torch.eye(J.shape[1], dtype=J.dtype), -J.T @ r)


def _step_inputs(g: torch.Generator) -> list[tuple]:
    shapes = [(3, 2, 1.0), (6, 3, 0.5), (9, 4, 2.0), (5, 5, 1.0), (12, 7, 0.1)]
    return [(random(g, n, k), random(g, n), damping) for n, k, damping in shapes]


GAUGE = Exercise(
    "03.10",
    "The same matrix from other vectors",
    2,
    10,
    "If you divide a1 by a number, ΔW becomes as much smaller. Which of the three vectors can make up for it, without "
    "changing a3? Do the same for a3.",
    with_ones_in_front,
    vectors(3),
    allowed="products and quotients of vectors and numbers.",
    solution=with_ones_in_front,
    twins=(
        Twin(
            "circulant not multiplied",
            "Both diagonals begin with 1, but c is as it was. So your ΔW is smaller by the factor a1[0] a3[0].",
            lambda a1, c, a3: (a1 / a1[0], c.clone(), a3 / a3[0]),
        ),
        Twin(
            "circulant divided",
            "You divided c too. What the diagonals lose, c has to gain: multiply it by a1[0] a3[0].",
            lambda a1, c, a3: (a1 / a1[0], c / (a1[0] * a3[0]), a3 / a3[0]),
        ),
        Twin(
            "one diagonal only",
            "Your ΔW is right and a1 begins with 1, but a3 does not: c can also take the factor a3[0].",
            lambda a1, c, a3: (a1 / a1[0], c * a1[0], a3.clone()),
        ),
    ),
)

STEP = Exercise(
    "03.11",
    "One step of Levenberg-Marquardt",
    2,
    15,
    "Write the sum as (J s + r)^T (J s + r) + λ s^T s and set its gradient for s to zero. The equations are linear in "
    "s; torch.linalg.solve solves them.",
    damped_step,
    _step_inputs,
    tolerance=1e-8,
    allowed="`torch.linalg`.",
    solution=damped_step,
    twins=(
        Twin(
            "uphill",
            "Your step has the right size and the wrong sign: it increases the error. The right-hand side is -J^T r.",
            lambda J, r, damping: -damped_step(J, r, damping),
        ),
        Twin(
            "damping missing",
            "You minimised |J s + r|² only, which is a Gauss-Newton step. Add λ to the diagonal of J^T J.",
            lambda J, r, damping: torch.linalg.lstsq(J, -r[:, None]).solution[:, 0],
        ),
        Twin(
            "a step of gradient descent",
            "You went along -J^T r, the direction of gradient descent. Solve with the matrix J^T J + λ I as well.",
            lambda J, r, damping: -J.T @ r,
        ),
        Twin(
            "gradient divided by the damping",
            "You divided -J^T r by λ and left out J^T J. That is the step for very large λ only.",
            lambda J, r, damping: -J.T @ r / damping,
        ),
    ),
)

FITS = (GAUGE, STEP)
