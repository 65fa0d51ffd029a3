"""Exercises of notebook 01 on the rank of a circulant."""

import torch
from torch.fft import fft, ifft, irfft, rfft

from ..exercise_inputs import random, rank_inputs
from ..exercise_type import Exercise, Twin
from .matrices import column, square
from .nb01_spectra import PRODUCT


def rank_of_circulant(c: torch.Tensor) -> int:
    """Return the rank of the circulant with first column c (b,), from its singular values."""
    return int(torch.linalg.matrix_rank(column(c)))


def rank(c: torch.Tensor) -> int:
    size = fft(c).abs()
    return int((size > 1e-10 * size.max()).sum())  # all zero: nothing is greater than 0


def low_pass(c: torch.Tensor, keep: int) -> torch.Tensor:
    s = rfft(c)
    s[keep + 1 :] = 0
    return irfft(s, n=len(c))


def low_pass_by_mask(c: torch.Tensor, keep: int) -> torch.Tensor:
    """Return the real kernel with the frequencies k where k or b - k is at most ``keep``."""
    k = torch.arange(len(c))
    return ifft(fft(c) * (torch.minimum(k, len(c) - k) <= keep)).real


RANKS = (
    Exercise(
        "01.9",
        "The rank of a circulant from its spectrum",
        2,
        10,
        "The eigenvalues are the FFT of c. Count those whose absolute value exceeds a threshold relative to the "
        "largest. The zero vector has rank 0. torch.fft.fft returns all b frequencies, torch.fft.rfft only about half.",
        rank_of_circulant,
        rank_inputs,
        twins=(
            Twin(
                "half the spectrum",
                "rfft leaves out the second half. All but one or two of its entries stand for two frequencies.",
                lambda c: int((rfft(c).abs() > 1e-10 * rfft(c).abs().max()).sum()),
            ),
            Twin(
                "absolute threshold",
                "A very small kernel can have full rank. Compare each frequency with the largest one.",
                lambda c: int((fft(c).abs() > 1e-9).sum()),
            ),
            Twin(
                "entries counted",
                "This counts the non-zero entries of the kernel, not those of its spectrum.",
                lambda c: int(torch.count_nonzero(c)),
            ),
            Twin("size returned", "This is the size of the matrix. Some frequencies of the kernel are zero.", len),
            Twin(
                "real parts only",
                "This counts the frequencies whose real part is not zero. One of them may be purely imaginary: compare "
                "absolute values.",
                lambda c: int((fft(c).real.abs() > 1e-10 * fft(c).abs().max()).sum()),
            ),
        ),
        importance=3,
        allowed="`fft` and comparisons; no matrix.",
        forbidden=(*PRODUCT, "torch.linalg"),
        no_matrix=square,
        solution=rank,
    ),
    Exercise(
        "01.10",
        "A kernel of chosen rank",
        2,
        10,
        "Set the entries of the half spectrum after entry `keep` to zero, and transform back.",
        low_pass_by_mask,
        lambda g: [(random(g, b), keep) for b, keep in ((7, 2), (5, 1), (8, 2), (12, 3), (9, 1))],
        twins=(
            Twin(
                "one off",
                "One frequency too few is left. Entry `keep` itself should stay.",
                lambda c, keep: low_pass_by_mask(c, keep - 1),
            ),
            Twin(
                "mirror image missing",
                "Of the whole spectrum, both k and d - k have to stay. Otherwise the kernel is complex, and its real "
                "part has these frequencies at half their size.",
                lambda c, keep: ifft(fft(c) * (torch.arange(len(c)) <= keep)).real,
            ),
            Twin(
                "entries cut",
                "This sets entries of the kernel to zero. Set entries of its spectrum to zero.",
                lambda c, keep: c * (torch.arange(len(c)) <= keep),
            ),
            Twin(
                "the others kept",
                "These are the frequencies that should go: this kernel and the right one add up to c.",
                lambda c, keep: c - low_pass_by_mask(c, keep),
            ),
        ),
        allowed="`rfft`, `irfft` and indexing.",
        forbidden=PRODUCT,
        solution=low_pass,
    ),
)
