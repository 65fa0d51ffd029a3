"""The computations that prove C3A's errata: each returns its figures and asserts that they prove the mistake."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import costs
from ..ops import circulant
from . import c3a_claims, formulas
from .proof_helpers import random_vectors, relative_error


def _gradients(w: Tensor, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``<g, C(w) x>`` for x and w, by autograd through the dense matrix."""
    w, x = w.clone().requires_grad_(), x.clone().requires_grad_()
    return torch.autograd.grad(circulant(w, "row") @ x, (x, w), g)


def transpose() -> dict[str, float]:
    """Compare C3A's printed input gradient with autograd's."""
    w, x, g = random_vectors(3)
    true, _ = _gradients(w, x, g)
    printed = circulant(w, "row") @ g
    error = relative_error(printed, true)
    cosine = float(torch.cosine_similarity(printed, true, dim=0))
    assert error > 1 and abs(cosine) < 0.2 and relative_error(circulant(w, "row").T @ g, true) < 1e-12
    return {"relative error": error, "cosine with the truth": cosine}


def kernel_gradient() -> dict[str, float]:
    """Show that C3A's printed kernel gradient is the true one with its index reversed."""
    w, x, g = random_vectors(3)
    _, true = _gradients(w, x, g)
    printed = circulant(x, "row") @ g
    error, reversed_error = relative_error(printed, true), relative_error(printed.flip(0).roll(1), true)
    assert error > 1 and reversed_error < 1e-12 and relative_error(circulant(g, "row") @ x, true) < 1e-12
    return {"relative error": error, "after reversing the index": reversed_error}


def commutativity() -> dict[str, float]:
    """Compare C(w) x with C(x) w for d = 3, w = (1, 2, 0), x = (1, 0, 0)."""
    w, x = torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    gap = (circulant(w, "row") @ x - circulant(x, "row") @ w).abs().max()
    assert gap > 0 and torch.equal(circulant(w, "column") @ x, circulant(x, "column") @ w)
    return {"largest difference": float(gap)}


def eigendecomposition() -> dict[str, float]:
    """Evaluate the printed decomposition with the Fourier matrix F and find the factor that it lacks."""
    (w,) = random_vectors(1, 12)
    d = len(w)
    fourier = torch.fft.fft(torch.eye(d, dtype=torch.complex128))
    inverse, spectrum = torch.linalg.inv(fourier), torch.diag(fourier @ w.to(torch.complex128))
    dense = circulant(w, "row").to(torch.complex128)
    printed = fourier @ (spectrum / d) @ inverse
    assert relative_error(fourier @ spectrum @ inverse, dense) < 1e-12 and relative_error(d * printed, dense) < 1e-12
    return {"missing factor": float((dense.abs().sum() / printed.abs().sum()).real), "d": float(d)}


def two_meanings_of_b() -> dict[str, float]:
    """Count the parameters at d = 768 and "b = 128" with the b of either version."""
    d, b = 768, 128
    as_size, as_number = costs.parameters("c3a", d, d, block_size=b), b * d
    assert as_number / as_size > 20
    return {"as block size": float(as_size), "as number of blocks": float(as_number), "ratio": as_number / as_size}


def kernel_transforms() -> dict[str, float]:
    """Compare the missing term with C3A's whole formula, at 4096 with b = 128."""
    share = formulas.kernel_transforms(4096, 4096, 128)
    per_step = costs.flops("c3a", 4096, 4096, tokens=0, block_size=128)
    assert share > 4 and per_step > 0
    return {"missing over stated": share, "exact FLOPs per step": float(per_step)}


def full_rank() -> dict[str, float]:
    """Compute the ranks of 100 circulants with random kernels."""
    kernels = random_vectors(100, 64)
    ranks = torch.linalg.matrix_rank(circulant(kernels, "row"))
    assert (ranks == 64).all()
    return {"random kernels": 100.0, "of full rank": float((ranks == 64).sum())}


def auxiliary_numbers() -> dict[str, float]:
    """Compare C3A's "# Other" at b = 128 in both versions of the paper."""
    later, first = formulas.PRINTED["C3A", "# Other"](4096, 4096, 128, 0, 0), 0
    assert later != first
    return {"later version": float(later), "first version": float(first)}


def less_than_half() -> dict[str, float]:
    """Compute C3A's parameters over LoRA's, with b and r of C3A Table 3."""
    shares = {row["column"]: row["computed"] for row in c3a_claims.rows() if row["printed"] == "less than half"}
    assert sum(share == 0.5 for share in shares.values()) == 2
    return shares


def surpasses() -> dict[str, float]:
    """Count the scores of C3A Table 3 in which C3A is ahead."""
    (wins, scores), (wins_13b, scores_13b) = c3a_claims.wins(), c3a_claims.wins("LLaMA2-13B")
    assert wins_13b < scores_13b / 2
    return {
        "C3A ahead": float(wins),
        "of": float(scores),
        "LLaMA2-13B: ahead": float(wins_13b),
        "LLaMA2-13B: of": float(scores_13b),
    }
