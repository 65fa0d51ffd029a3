"""Exercises of notebook 02 on the circulant closest to a matrix, and on the product of one block."""

import torch
from torch.fft import irfft, rfft

from ..exercise_inputs import SIZES, random, vectors
from ..exercise_type import Exercise, Twin
from .matrices import column, row, square

PRODUCT = (
    "circpeft.circulant",
    "circpeft.block_circulant",
    "circpeft.block_circular_matmul",
    "circpeft.ops.block_circular_kernel_grad",
)


def closest_circulant(M: torch.Tensor) -> torch.Tensor:
    b = len(M)
    i = torch.arange(b)
    return torch.stack([M[i, (i + k) % b].mean() for k in range(b)])


def projected(M: torch.Tensor) -> torch.Tensor:
    """Return the inner products of M with the shifts, which are orthogonal to each other and have the norm sqrt(b)."""
    return torch.stack([(M * row(e)).sum() / len(M) for e in torch.eye(len(M), dtype=M.dtype)])


def forward(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return irfft(rfft(w).conj() * rfft(x), n=len(x))


FORWARD = (
    Exercise(
        "02.1",
        "The closest circulant",
        2,
        10,
        "Along each wrapped diagonal, one number w[k] replaces the b entries M[i, (i + k) mod b]. Which number is "
        "closest to all of them in the sum of squares?",
        projected,
        lambda g: [(random(g, b, b),) for b in SIZES],
        twins=(
            Twin(
                "scale",
                "These are the sums along the diagonals. The closest number to b entries is their mean.",
                lambda M: len(M) * projected(M),
            ),
            Twin(
                "layout exchanged",
                "These are the means for the column layout. In the row layout, w[k] stands where j - i = k.",
                lambda M: projected(M.T),
            ),
            Twin(
                "first row only",
                "This copies the first row of M and ignores the others. Every entry of a diagonal counts.",
                lambda M: M[0].clone(),
            ),
            Twin(
                "wrap missing",
                "These are the means of the diagonals up to the edge of M. They go on at the other edge: take all b "
                "entries M[i, (i + k) mod b].",
                lambda M: torch.stack([M.diagonal(k).mean() for k in range(len(M))]),
            ),
        ),
        allowed="indexing, sums and means; a loop over the diagonals is fine.",
        forbidden=("circpeft.fits",),
        solution=closest_circulant,
    ),
    Exercise(
        "02.2",
        "C3A's forward pass for one block",
        1,
        5,
        "If the kernel is the first row, y[i] = sum over k of w[k] x[(i + k) mod b]. This is a correlation, "
        "so one of the two spectra has to be conjugated.",
        lambda w, x: row(w) @ x,
        vectors(2),
        twins=(
            Twin(
                "conjugate missing",
                "This is the convolution, the product in the column layout. The row layout conjugates the kernel's "
                "spectrum.",
                lambda w, x: column(w) @ x,
            ),
            Twin(
                "values swapped",
                "The conjugate belongs to the kernel's spectrum, not to that of x. This is C(x) w, the right answer "
                "with its index reversed.",
                lambda w, x: row(x) @ w,
            ),
            Twin(
                "length missing",
                "irfft assumes an even length. Pass n=len(x), or an odd length loses an entry.",
                lambda w, x: irfft(rfft(w).conj() * rfft(x)),
            ),
        ),
        importance=3,
        allowed="`rfft`, `irfft`, `conj` and products entry by entry; no matrix.",
        forbidden=PRODUCT,
        no_matrix=square,
        solution=forward,
    ),
)
