"""Proofs of the errata about CDVFT's equations: each returns figures and asserts that they prove the erratum."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import costs
from ..ops import circulant
from .proof_helpers import random_vectors, relative_error

DIAGONAL, CIRCULANT = "a", "c"


def _vectors(m: int) -> set[str]:
    """Return the names that section 3.1 gives to the vectors of 2 m - 1 factors: a_1, c_2, a_3, ..."""
    return {f"{DIAGONAL if k % 2 else CIRCULANT}_{k}" for k in range(1, 2 * m)}


def extra_x() -> dict[str, float]:
    """Count the columns of both sides of Eq. 1 for n = 5: X is a matrix, and the right side ends with the vector x."""
    n = 5
    a1, c2, a3, x = random_vectors(4, n)
    factors = torch.diag(a3) @ circulant(c2) @ torch.diag(a1)
    printed, right = (factors @ x)[:, None], factors
    assert printed.shape == (n, 1) and right.shape == (n, n)
    return {"as printed, columns": float(printed.shape[1]), "right, columns": float(right.shape[1])}


def circulant_letter() -> dict[str, float]:
    """Count how many of the names a_2 and c_2 belong to a vector of section 3.1, for m = 2."""
    as_printed, right = ("a_2" in _vectors(2)), ("c_2" in _vectors(2))
    assert right and not as_printed
    return {"as printed (a_2), vectors of that name": 0.0, "right (c_2), vectors of that name": 1.0}


def underbrace() -> dict[str, float]:
    """Compare C_2 A_1 x, under the brace of Eq. 5 for j = 1, with y_1 and y_2 of Eq. 6 and 7."""
    a1, c2, x = random_vectors(3, 32)
    braced = circulant(c2) @ torch.diag(a1) @ x
    y1 = a1 * x
    y2 = circulant(c2) @ y1
    printed, right = relative_error(braced, y1), relative_error(braced, y2)
    assert printed > 0.1 and right < 1e-12
    return {"as printed (y_1), relative error": printed, "right (y_2), relative error": right}


def index_of_eq_9() -> dict[str, float]:
    """Compare both readings of Eq. 9 with the true gradient, for y1 = a * y0 and L = <g, C y1>."""
    a, c, y0, g = random_vectors(4, 32)
    a = a.requires_grad_()
    (true,) = torch.autograd.grad(g @ circulant(c) @ (a * y0), a)
    dy1 = circulant(c).T @ g
    dy0 = a.detach() * dy1
    right, other = relative_error(dy1 * y0, true), relative_error(dy0 * y0, true)
    assert right < 1e-12 and other > 0.1
    return {"with dL/dy_{2j-1}, relative error": right, "with dL/dy_{2j-2}, relative error": other}


def companion() -> dict[str, float]:
    """Count the gradients of A3 C2 A1 that follow from dL/dy3 by the printed Eq. 9 and 10, and with the companion.

    A rule takes the gradient of a step's output and gives another one: Eq. 9 that of a diagonal vector, Eq. 10 those of
    a circulant's vector and input, and the companion, dL/dy_{2j-2} = a_{2j-1} * dL/dy_{2j-1}, that of a diagonal's
    input.
    """
    printed = {("y3", "a3"), ("y1", "a1"), ("y2", "c2"), ("y2", "y1")}

    def reached(rules: set[tuple[str, str]]) -> int:
        known = {"y3"}
        while more := {to for start, to in rules if start in known} - known:
            known |= more
        return len(known & {"a1", "c2", "a3"})

    needed, given = reached(printed | {("y3", "y2")}), reached(printed)
    assert (needed, given) == (3, 1)
    return {"needed, gradients of a_1, c_2, a_3": float(needed), "printed, those that follow": float(given)}


def shift_is_conjugate() -> dict[str, float]:
    """Compare Eq. 10 and 11 with C^T g and C^H g, for a complex circulant; and with each other, for a real one."""
    c_real, c_imaginary, g_real, g_imaginary = random_vectors(4, 32)
    c, g = torch.complex(c_real, c_imaginary), torch.complex(g_real, g_imaginary)
    fft, ifft, dense = torch.fft.fft, torch.fft.ifft, circulant(c)

    def shifted(v: Tensor) -> Tensor:
        return v.flip(0).roll(1)

    eq_10, eq_11 = ifft(fft(shifted(c)) * fft(g)), ifft(fft(c).conj() * fft(g))
    errors = {
        "complex: Eq. 10 against C^T g": relative_error(eq_10, dense.T @ g),
        "complex: Eq. 11 against C^H g": relative_error(eq_11, dense.mH @ g),
        "real: FFT(shifted) against conj(FFT)": relative_error(fft(shifted(c_real)), fft(c_real).conj()),
    }
    assert max(errors.values()) < 1e-12 and relative_error(eq_10, eq_11) > 0.1
    return errors | {"complex: Eq. 10 against Eq. 11": relative_error(eq_10, eq_11)}


def submatrices() -> dict[str, float]:
    """Compare a circulant product with the element-wise products of the vectors and of their transforms."""
    c, x = random_vectors(2, 16)
    true, fft, ifft = circulant(c) @ x, torch.fft.fft, torch.fft.ifft
    printed, right = relative_error(c * x, true), relative_error(ifft(fft(c) * fft(x)).real, true)
    assert printed > 0.1 and right < 1e-12
    return {"as printed, relative error": printed, "right (of the transforms), relative error": right}


def padding() -> dict[str, float]:
    """Multiply a circulant of size 8 by a vector of 5 that is padded by its last entry, and by zeros."""
    c, x = random_vectors(2, 8)
    short = x[:5]
    edge, zeros = torch.cat([short, short[-1:].expand(3)]), torch.cat([short, short.new_zeros(3)])
    replicate = torch.nn.functional.pad(short[None], (0, 3), mode="replicate")[0]
    gap = relative_error(circulant(c) @ edge, circulant(c) @ zeros)
    assert torch.equal(edge, replicate) and gap > 0.1
    return {"last entry against zeros, relative difference": gap}


def number_of_factors() -> dict[str, float]:
    """Count the diagonals and circulants among 2 m - 1 factors: with m = 1, as Figure 1 has it, and with m = 2."""
    counts = {}
    for m, name in ((1, "as printed (m = 1)"), (2, "right (m = 2)")):
        assert costs.parameters("cdvft", 768, 768, num_factors=2 * m - 1) == 768 * len(_vectors(m))
        for letter, kind in ((DIAGONAL, "diagonals"), (CIRCULANT, "circulants")):
            counts[f"{name}, {kind}"] = float(sum(v.startswith(letter) for v in _vectors(m)))
    assert list(counts.values()) == [1, 0, 2, 1]
    return counts


def gauges() -> dict[str, float]:
    """Compute the rank of the Jacobian of (a1, c, a3) -> A3 C A1 at a random point."""
    d = 6
    point = random_vectors(1, 3 * d)[0]

    def product(p: Tensor) -> Tensor:
        a1, c, a3 = p.view(3, d)
        return a3[:, None] * circulant(c) * a1

    jacobian = torch.autograd.functional.jacobian(product, point).reshape(d * d, -1)
    rank = int(torch.linalg.matrix_rank(jacobian))
    assert rank == 3 * d - 2
    return {"d": float(d), "parameters": 3.0 * d, "degrees of freedom": float(rank)}


def zero_start() -> dict[str, float]:
    """Count the factors of CDVFT that have a gradient, with one and with two factors zero at the start."""
    counts = {}
    for name, zeros in (("one zero factor", (1,)), ("two zero factors", (1, 2))):
        factors = [v.requires_grad_() for v in random_vectors(3, 8)]
        with torch.no_grad():
            for k in zeros:
                factors[k].zero_()
        a1, c, a3 = factors
        (a3 * (circulant(c) @ (a1 * random_vectors(4, 8)[3]))).square().add(a3 * (circulant(c) @ a1)).sum().backward()
        counts[name] = float(sum(bool(v.grad.count_nonzero()) for v in factors))
    assert list(counts.values()) == [1, 0]
    return counts
