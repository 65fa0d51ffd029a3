"""The exercise on the gradient of a complex product."""

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Twin
from .cdvft_gradients import AUTOGRAD


def complex_gradient(c: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Return dL/dy = M^T g, where M is the real 2 x 2 matrix of a complex number. Shapes: c, g and dL/dy (2, n)."""
    p, q = c
    matrix = torch.stack([torch.stack([p, -q]), torch.stack([q, p])])
    return (matrix * g[:, None]).sum(0)


def conjugate_product(c: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    (p, q), (r, s) = c, g
    return torch.stack([p * r + q * s, p * s - q * r])


COMPLEX = Exercise(
    "03.7",
    "The gradient of a complex product",
    2,
    10,
    "Write (p + iq)(u + iv) = (pu - qv) + i(qu + pv) as a real 2 x 2 matrix times (u, v). The gradient for (u, v) is "
    "the transpose of this matrix times g.",
    complex_gradient,
    lambda g: [(random(g, 2, n), random(g, 2, n)) for n in (5, 1, 3, 7)],
    allowed="real numbers only.",
    forbidden=(*AUTOGRAD, "torch.view_as_complex", "torch.complex"),
    solution=conjugate_product,
    twins=(
        Twin(
            "conjugate missing",
            "You computed the product c g. The transpose of c's matrix has the minus in the other corner; it belongs "
            "to the conjugate of c.",
            lambda c, g: torch.stack([c[0] * g[0] - c[1] * g[1], c[1] * g[0] + c[0] * g[1]]),
        ),
        Twin(
            "the wrong number conjugated",
            "You computed c times the conjugate of g. The transpose changes the matrix of c, not g.",
            lambda c, g: torch.stack([c[0] * g[0] + c[1] * g[1], c[1] * g[0] - c[0] * g[1]]),
        ),
        Twin(
            "imaginary part ignored",
            "You multiplied both parts by p only. The output's real part also depends on v, its imaginary part on u.",
            lambda c, g: c[0] * g,
        ),
    ),
)
