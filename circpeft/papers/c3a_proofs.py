"""Proofs of the errata about C3A's equations and formulas: each returns figures and asserts that they prove it."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from .. import costs
from ..ops import circulant
from . import formulas
from .proof_helpers import random_vectors, relative_error


def _gradients(w: Tensor, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``<g, C(w) x>`` for x and w, by autograd through the dense matrix."""
    w, x = w.clone().requires_grad_(), x.clone().requires_grad_()
    dx, dw = torch.autograd.grad(circulant(w, "row") @ x, (x, w), g)
    return dx, dw


def transpose() -> dict[str, float]:
    """Compare C3A's printed input gradient with autograd's."""
    w, x, g = random_vectors(3)
    true, _ = _gradients(w, x, g)
    printed = circulant(w, "row") @ g
    error, right = relative_error(printed, true), relative_error(circulant(w, "row").T @ g, true)
    cosine = float(torch.cosine_similarity(printed, true, dim=0))
    assert error > 1 and abs(cosine) < 0.2 and right < 1e-12
    return {"as printed, relative error": error, "right, relative error": right, "cosine with the truth": cosine}


def kernel_gradient() -> dict[str, float]:
    """Show that C3A's printed kernel gradient is the true one with its index reversed."""
    w, x, g = random_vectors(3)
    _, true = _gradients(w, x, g)
    printed = circulant(x, "row") @ g
    error, right = relative_error(printed, true), relative_error(circulant(g, "row") @ x, true)
    reversed_error = relative_error(printed.flip(0).roll(1), true)
    assert error > 1 and reversed_error < 1e-12 and right < 1e-12
    return {
        "as printed, relative error": error,
        "right, relative error": right,
        "printed with its index reversed, relative error": reversed_error,
    }


def commutativity() -> dict[str, float]:
    """Compare C(w) x with C(x) w for d = 3, w = (1, 2, 0), x = (1, 0, 0)."""
    w, x = torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    row, column = (
        float((circulant(w, layout) @ x - circulant(x, layout) @ w).abs().max()) for layout in ("row", "column")
    )
    assert row > 0 == column
    return {"as printed, largest difference": row, "right (first column), largest difference": column}


def eigendecomposition() -> dict[str, float]:
    """Evaluate the printed decomposition with the Fourier matrix F and find the factor that it lacks."""
    (w,) = random_vectors(1, 12)
    d = len(w)
    fourier = torch.fft.fft(torch.eye(d, dtype=torch.complex128))
    inverse, spectrum = torch.linalg.inv(fourier), torch.diag(fourier @ w.to(torch.complex128))
    dense = circulant(w, "row").to(torch.complex128)
    printed = fourier @ (spectrum / d) @ inverse
    assert relative_error(fourier @ spectrum @ inverse, dense) < 1e-12 and relative_error(d * printed, dense) < 1e-12
    sizes = {"as printed, size over that of C(w)": printed, "right, size over that of C(w)": d * printed}
    return {name: float(matrix.abs().sum() / dense.abs().sum()) for name, matrix in sizes.items()} | {"d": float(d)}


def two_meanings_of_b() -> dict[str, float]:
    """Count the parameters at d = 768 and "b = 128" with the b of either version."""
    d, b = 768, 128
    as_size, as_number = costs.parameters("c3a", d, d, block_size=b), b * d
    assert as_number / as_size > 20
    return {
        "first version, parameters": float(as_number),
        "later version, parameters": float(as_size),
        "ratio": as_number / as_size,
    }


def kernel_transforms() -> dict[str, float]:
    """Compare the kernels' transforms with C3A's time by the later version, at 4096 with b = 128.

    Per step, not per token: with many tokens, the exact count per token stays within a constant of the later formula.
    """
    share = formulas.kernel_transforms(4096, 4096, 128)
    first = formulas.FIRST_VERSION["C3A", "Time"](4096, 32, 0, 0)  # 32 blocks per side: the same layer
    later = formulas.PRINTED["C3A", "Time"](4096, 4096, 128, 0, 0)
    one, many = (max(formulas.growth("C3A", tokens)) for tokens in (1, 10_000))
    assert first > later and share > 4 and many < 4 < one
    return {
        "first version, time": first,
        "later version, time": later,
        "kernels' transforms over the later time": share,
        "exact over the later time, 1 token": one,
        "exact over the later time, 10,000 tokens": many,
    }


def full_rank() -> dict[str, float]:
    """Compute the ranks of 100 circulants with random kernels, which have learnt nothing."""
    kernels = random_vectors(100, 64)
    ranks = torch.linalg.matrix_rank(circulant(kernels, "row"))
    assert (ranks == 64).all()
    return {"counterexamples, random kernels of full rank": float((ranks == 64).sum()), "of": 100.0}


def expressiveness() -> dict[str, float]:
    """Classify the eight clusters of section 4.1 with an MLP whose middle layer has rank one, its weights set by hand.

    Two ReLUs make a soft step across each of four lines between the clusters. The middle layer adds the steps with the
    weights 1, 2, 4 and 8 into one number per point, and the last layer picks the cluster with the nearest number.
    """
    angles = torch.arange(8, dtype=torch.float64) * (2 * pi / 8)
    centres, labels = torch.stack([angles.cos(), angles.sin()], 1), torch.arange(8).repeat_interleave(30)
    points = centres[labels] + 0.1 * random_vectors(240, 2)
    lines = angles[:4] + pi / 8
    normals, code = 20 * torch.stack([-lines.sin(), lines.cos()]), torch.tensor([1.0, 2.0, 4.0, 8.0]).double()
    middle = torch.outer(torch.eye(8, dtype=torch.float64)[0], torch.cat([code, -code]))

    def numbers(x: Tensor) -> Tensor:
        hidden = torch.relu(torch.cat([x @ normals + 0.5, x @ normals - 0.5], 1))
        return torch.relu(hidden @ middle.T)[:, :1]

    values = numbers(centres)[:, 0]
    right = {name: (numbers(x) * values - values**2 / 2).argmax(1) for name, x in (("c", centres), ("p", points))}
    of_centres, of_points = int((right["c"] == torch.arange(8)).sum()), int((right["p"] == labels).sum())
    assert torch.linalg.matrix_rank(middle) == 1 and of_centres == 8 and of_points > 0.98 * len(points)
    return {
        "counterexamples, clusters that a rank-one layer separates": float(of_centres),
        "of": 8.0,
        "points classified right, of 240": float(of_points),
    }


def auxiliary_numbers() -> dict[str, float]:
    """Compare C3A's "# Other" at b = 128 in both versions, and what a step saves beyond the layer's input."""
    later = formulas.PRINTED["C3A", "# Other"](4096, 4096, 128, 0, 0)
    first = formulas.FIRST_VERSION["C3A", "# Other"](4096, 32, 0, 0)
    saved = formulas.intermediate("C3A", 4096, 32, 0, 0)
    assert later != first == saved
    return {"first version": float(first), "later version": float(later), "counted, per token": float(saved)}
