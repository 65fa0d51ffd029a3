"""The first exercises of notebook 01: circulant matrices, their shifts, and the waves that they scale."""

import torch
from torch.fft import fft, ifft

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Twin
from .matrices import column, row, square

MATRIX = ("circpeft.circulant", "circpeft.block_circulant", "circpeft.block_circular_matmul")


def circulant(c: torch.Tensor) -> torch.Tensor:
    i = torch.arange(len(c))
    return c[(i[:, None] - i[None, :]) % len(c)]


def other_kernel(w: torch.Tensor) -> torch.Tensor:
    return w.flip(0).roll(1)


def sum_of_shifts(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return sum(c[k] * x.roll(k) for k in range(len(c)))


def sum_without_wrapping(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the sum of shifts that lose what falls off the end: the product with a triangular matrix."""
    return torch.tril(column(c)) @ x


def eigenvalues(c: torch.Tensor) -> torch.Tensor:
    return len(c) * ifft(c)


def eigenvalues_by_matrix(c: torch.Tensor) -> torch.Tensor:
    """Return, for each wave f_k = (1, ω^k, ω^2k, ...), entry 0 of C f_k; entry 0 of the wave is 1."""
    i = torch.arange(len(c), dtype=c.dtype)
    waves = torch.exp(-2j * torch.pi * (i[:, None] * i[None, :] % len(c)) / len(c))
    return (column(c).to(waves.dtype) @ waves)[0]


def diagonal_form(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return fft(fft(w) * ifft(x)).real


MATRICES = (
    Exercise(
        "01.1",
        "The circulant of a vector",
        1,
        5,
        "Entry (i, j) depends only on i - j. Build the matrix of indices (i - j) mod b by broadcasting, and index c.",
        column,
        vectors(1),
        twins=(
            Twin("layout exchanged", "This matrix has c as its first row. Here c should be its first column.", row),
            Twin(
                "one off",
                "The index is one too small: the first column starts with the last number of c instead of the first.",
                lambda c: column(c.roll(1)),
            ),
            Twin(
                "wrap missing",
                "What falls off the bottom is lost. In a circulant it comes back at the top: take the index mod b.",
                lambda c: torch.tril(column(c)),
            ),
            Twin(
                "shifted up",
                "Each column is the one before it, shifted up: entry (i, j) is c[(i + j) mod b]. Shift down instead.",
                lambda c: torch.stack([c.roll(-k) for k in range(len(c))], dim=1),
            ),
        ),
        importance=3,
        allowed="indexing and `torch.arange`; try it without a loop.",
        forbidden=MATRIX,
        solution=circulant,
    ),
    Exercise(
        "01.2",
        "The kernel in the other layout",
        1,
        5,
        "Write down the matrix with first row (4, 3, 2, 1), and read its first column. Which entry of w is at place k?",
        lambda w: row(w)[:, 0].clone(),
        vectors(1),
        twins=(
            Twin(
                "values unchanged",
                "The same numbers in the other layout give the transposed matrix, not the same one.",
                lambda w: w.clone(),
            ),
            Twin(
                "one off",
                "This is w read backwards, with index b - 1 - k. Index 0 has to stay where it is: -k mod b.",
                lambda w: w.flip(0),
            ),
            Twin(
                "shifted only",
                "The order of the numbers has to be reversed. A shift only moves them along.",
                lambda w: w.roll(1),
            ),
        ),
        importance=3,
        allowed="indexing, `flip` and `roll`.",
        forbidden=MATRIX,
        solution=other_kernel,
    ),
    Exercise(
        "01.3",
        "The product as a sum of shifts",
        2,
        10,
        "C is the sum over k of c[k] P^k. What does P^k do to x? Which argument of torch.roll moves entries down by k?",
        lambda c, x: column(c) @ x,
        vectors(2),
        twins=(
            Twin(
                "layout exchanged",
                "The shifts go up, not down. This is the product in the row layout, the sum of c[k] P^-k x.",
                lambda c, x: row(c) @ x,
            ),
            Twin(
                "one off",
                "Every shift is one place too far. c[0] belongs to P^0, which does not move x.",
                lambda c, x: (column(c) @ x).roll(1),
            ),
            Twin(
                "wrap missing",
                "What falls off the bottom is lost here. P moves the last entry to the top.",
                sum_without_wrapping,
            ),
            Twin(
                "first term missing",
                "The term with k = 0 is missing. P^0 leaves x where it is, and c[0] multiplies it.",
                lambda c, x: column(c) @ x - c[0] * x,
            ),
            Twin(
                "kernel shifted up",
                "This is the sum of the x[k] times c shifted up by k. The columns of C are c shifted down.",
                lambda c, x: row(x) @ c,
            ),
        ),
        importance=3,
        allowed="`roll`, and sums and multiples of vectors; no matrix and no FFT.",
        forbidden=(*MATRIX, "torch.fft"),
        no_matrix=square,
        solution=sum_of_shifts,
    ),
    Exercise(
        "01.4",
        "The eigenvalue of each wave",
        3,
        15,
        "C is the sum of c[j] P^j, and P^j multiplies f_k by omega^(-kj). Write the sum over j. Compare its exponent "
        "with that of the FFT. Which entry of which transform is it? What does ifft divide by?",
        eigenvalues_by_matrix,
        vectors(1),
        twins=(
            Twin(
                "sign of the index",
                "This is fft(c). Its entry k belongs to the wave f_-k, which turns the other way, because P multiplies "
                "f_k by omega^-k.",
                lambda c: fft(c),
            ),
            Twin(
                "scale",
                "These are the eigenvalues divided by b: ifft contains the factor 1 / b.",
                lambda c: ifft(c),
            ),
            Twin(
                "one off",
                "This is the spectrum read backwards, with index b - 1 - k. The eigenvalue of f_0 is entry 0.",
                lambda c: fft(c).flip(0),
            ),
        ),
        importance=3,
        allowed="`fft`, `ifft`, indexing and multiples.",
        forbidden=(*MATRIX, "torch.linalg"),
        solution=eigenvalues,
    ),
    Exercise(
        "01.5",
        "The product by three transforms",
        2,
        10,
        "Formula (1.8) belongs to the column layout. The transpose of a product reverses its factors, and F is its own "
        "transpose. Read the result from right to left: which transform of x comes first?",
        lambda w, x: row(w) @ x,
        vectors(2),
        twins=(
            Twin(
                "the first line of the paper's Eq. 1",
                "This is b times too small. The inverse transform already contains the factor 1 / b.",
                lambda w, x: row(w) @ x / len(w),
            ),
            Twin(
                "layout exchanged",
                "This is the product in the column layout, ifft(fft(w) * fft(x)).",
                lambda w, x: column(w) @ x,
            ),
            Twin(
                "values swapped",
                "This is C(x) w. In the row layout, that is the right answer with its index reversed.",
                lambda w, x: row(x) @ w,
            ),
            Twin(
                "three transforms of one direction",
                "This is fft(fft(w) * fft(x)). One of the three has to be the inverse transform.",
                lambda w, x: fft(fft(w) * fft(x)).real,
            ),
        ),
        allowed="`fft`, `ifft`, `.real` and products of vectors, entry by entry.",
        forbidden=MATRIX,
        solution=diagonal_form,
    ),
)
