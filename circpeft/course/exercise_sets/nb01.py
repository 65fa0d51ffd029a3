"""The exercises of notebook 01, on circulant matrices."""

import torch

from ..exercise_inputs import rank_inputs, vectors
from ..exercise_type import Exercise, Question
from .matrices import column


def rank_of_circulant(c: torch.Tensor) -> int:
    """Return the rank of the circulant with first column c (b,), from its singular values."""
    return int(torch.linalg.matrix_rank(column(c)))


EXERCISES = (
    Exercise(
        "01.1",
        "The circulant of a vector",
        1,
        5,
        "Entry (i, j) depends only on i - j. Build the matrix of indices (i - j) mod b by broadcasting, and index c.",
        column,
        vectors(1),
    ),
    Exercise(
        "01.2",
        "Circular convolution by FFT",
        1,
        5,
        "The FFT turns circular convolution into an entrywise product. Pass n=b to torch.fft.irfft: odd b needs it.",
        lambda c, x: column(c) @ x,
        vectors(2),
    ),
    Exercise(
        "01.3",
        "The rank of a circulant from its spectrum",
        2,
        10,
        "The eigenvalues are the FFT of c. Count those whose absolute value exceeds a threshold relative to the "
        "largest. The zero vector has rank 0. torch.fft.fft returns all b frequencies, torch.fft.rfft only about half.",
        rank_of_circulant,
        rank_inputs,
    ),
)

QUESTIONS: tuple[Question, ...] = ()
