"""Exercises on CDVFT's backward pass, one step at a time."""

import torch

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Twin
from .matrices import column
from .spectral_products import convolve, correlate

AUTOGRAD = ("torch.autograd.grad", "torch.autograd.backward", "torch.func")
SHORTCUTS = ("circpeft", *AUTOGRAD)


def diagonal_gradients(a: torch.Tensor, y: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return (da, dy) of z = a * y for g = dL/dz. All are (d,)."""
    return g * y, g * a


def transposed_kernel(c: torch.Tensor) -> torch.Tensor:
    """Return the first column of the transpose of the circulant with first column c (d,)."""
    return column(c).T[:, 0]


def circulant_gradients(c: torch.Tensor, y: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return (dc, dy) of z = C(c) y = C(y) c for g = dL/dz, where c is the first column of C(c). All are (d,)."""
    return column(y).T @ g, column(c).T @ g


def cdvft_gradients(
    a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor, g: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return (da1, dc, da3, dx) of y = A3 C A1 x for g = dL/dy. All are (d,)."""
    da3, dv = diagonal_gradients(a3, column(c) @ (a1 * x), g)
    dc, du = circulant_gradients(c, a1 * x, dv)
    da1, dx = diagonal_gradients(a1, x, du)
    return da1, dc, da3, dx


def reversed_kernel(c: torch.Tensor) -> torch.Tensor:
    return c.flip(0).roll(1)


def back_through_circulant(c: torch.Tensor, y: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
    Fc, Fy, Fg = torch.fft.rfft(c), torch.fft.rfft(y), torch.fft.rfft(g)
    return torch.fft.irfft(Fy.conj() * Fg, n=len(c)), torch.fft.irfft(Fc.conj() * Fg, n=len(c))


def back_through_all(
    a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor, g: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    F1, F2, Fg = torch.fft.rfft(a1 * x), torch.fft.rfft(c), torch.fft.rfft(a3 * g)
    da3 = g * torch.fft.irfft(F1 * F2, n=len(x))
    dc = torch.fft.irfft(F1.conj() * Fg, n=len(x))
    dy1 = torch.fft.irfft(F2.conj() * Fg, n=len(x))
    return dy1 * x, dc, da3, dy1 * a1


def _misprinted(a1, c, a3, x, g) -> tuple[torch.Tensor, ...]:
    da1, dc, da3, dx = back_through_all(a1, c, a3, x, g)
    return a1 * da1, dc, a3 * da3, dx


def _not_passed_on(a1, c, a3, x, g) -> tuple[torch.Tensor, ...]:
    return back_through_all(a1, c, torch.ones_like(a3), x, g)


def _conjugates_missing(a1, c, a3, x, g) -> tuple[torch.Tensor, ...]:
    du = convolve(c, a3 * g)
    return x * du, convolve(a1 * x, a3 * g), g * convolve(c, a1 * x), a1 * du


DIAGONAL = Exercise(
    "03.3",
    "Back through a diagonal",
    1,
    5,
    "Each output depends on one entry of a and on one of y: z[q] = a[q] y[q]. So dL/da[q] = g[q] dz[q]/da[q].",
    diagonal_gradients,
    vectors(3),
    importance=3,
    allowed="products of vectors.",
    forbidden=AUTOGRAD,
    solution=diagonal_gradients,
    twins=(
        Twin(
            "a factor too many",
            "Your gradient for a has the factor a in it. Multiply the input y by the gradient g of the output, not by "
            "the gradient a * g that arrives at y.",
            lambda a, y, g: (a * g * y, a * g),
        ),
        Twin(
            "values exchanged",
            "Both vectors are right, but in the other order: the gradient for a comes first, then that for y.",
            lambda a, y, g: (a * g, g * y),
        ),
        Twin(
            "gradient not multiplied",
            "You pass g on to y as it is. The output changes a[q] times as fast as y[q], so g is multiplied by a.",
            lambda a, y, g: (g * y, g),
        ),
    ),
)

TRANSPOSE = Exercise(
    "03.4",
    "The first column of the transpose",
    2,
    5,
    "The first column of C^T is the first row of C. Its entry k is C[0, k] = c[(0 - k) mod d].",
    transposed_kernel,
    vectors(1),
    importance=3,
    allowed="indexing, `flip` and `roll`, no matrix.",
    forbidden=("circpeft",),
    no_matrix=lambda c: [(len(c), len(c))],
    solution=reversed_kernel,
    twins=(
        Twin(
            "entry 0 moved too",
            "You reversed all entries, also c[0]. It stays in front, because -0 mod d is 0.",
            lambda c: c.flip(0),
        ),
        Twin(
            "one off",
            "You reversed the entries and rolled them by one place too many: c[0] belongs in front.",
            lambda c: c.flip(0).roll(2),
        ),
        Twin(
            "not transposed",
            "You returned c itself, which is the first column of C. That of its transpose is the first row of C.",
            lambda c: c.clone(),
        ),
    ),
)

CIRCULANT = Exercise(
    "03.5",
    "Back through a circulant",
    2,
    15,
    "dL/dy = C(c)^T g, and by exercise 03.4 C(c)^T is the circulant of the reversed vector. What does that do to the "
    "spectrum of c? For dL/dc use that C(c) y = C(y) c.",
    circulant_gradients,
    vectors(3),
    importance=3,
    allowed="`torch.fft`, no matrix.",
    forbidden=SHORTCUTS,
    no_matrix=lambda c, y, g: [(len(c), len(c))],
    solution=back_through_circulant,
    twins=(
        Twin(
            "conjugate missing",
            "You multiplied by C itself. The gradient needs its transpose, so the spectrum of c (or y) is conjugated.",
            lambda c, y, g: (convolve(y, g), convolve(c, g)),
        ),
        Twin(
            "conjugate on the gradient",
            "You conjugated the spectrum of g. Then the result has its index reversed: conjugate that of c (or y).",
            lambda c, y, g: (correlate(g, y), correlate(g, c)),
        ),
        Twin(
            "values exchanged",
            "Both vectors are right, but in the other order: the gradient for c comes first, then that for y.",
            lambda c, y, g: back_through_circulant(c, y, g)[::-1],
        ),
        Twin(
            "gradient for c with its index reversed",
            "Your gradient for y is right. In that for c you conjugated the spectrum of g: conjugate that of y.",
            lambda c, y, g: (correlate(g, y), back_through_circulant(c, y, g)[1]),
        ),
        Twin(
            "conjugate missing in the gradient for c",
            "Your gradient for y is right. That for c is a convolution: conjugate the spectrum of y.",
            lambda c, y, g: (convolve(y, g), back_through_circulant(c, y, g)[1]),
        ),
    ),
)

CHAIN = Exercise(
    "03.6",
    "CDVFT's gradients",
    3,
    20,
    "Name the steps u = a1 * x, v = C u, y = a3 * v, and go back one step at a time: da3 and dv from g, "
    "then dc and du from dv, then da1 and dx from du.",
    cdvft_gradients,
    vectors(5),
    importance=3,
    allowed="`torch.fft` and your functions of 03.3 and 03.5, no matrix, no autograd.",
    forbidden=SHORTCUTS,
    no_matrix=lambda a1, c, a3, x, g: [(len(x), len(x))],
    solution=back_through_all,
    twins=(
        Twin(
            "the index of one print of Eq. 9",
            "Your gradients for a1 and a3 are multiplied by the diagonal itself. That is Eq. 9 with 2j - 2 in place of "
            "2j - 1.",
            _misprinted,
        ),
        Twin(
            "gradient not passed through A3",
            "You used g below A3. What arrives there is a3 * g: the step that the paper leaves out.",
            _not_passed_on,
        ),
        Twin(
            "conjugates missing",
            "You went back through C instead of its transpose. Eq. 11 conjugates the spectra of c and of a1 * x.",
            _conjugates_missing,
        ),
        Twin(
            "order reversed",
            "The four gradients are right, but in the reverse order: return (da1, dc, da3, dx).",
            lambda *arguments: back_through_all(*arguments)[::-1],
        ),
        Twin(
            "x in place of a1 * x",
            "Your gradient for c is that of C x. The circulant's input is a1 * x.",
            lambda a1, c, a3, x, g: (
                back_through_all(a1, c, a3, x, g)[0],
                correlate(x, a3 * g),
                *back_through_all(a1, c, a3, x, g)[2:],
            ),
        ),
        Twin(
            "gradient not passed through A1",
            "Your gradient for x is the one that arrives at a1 * x. Multiply it by a1.",
            lambda a1, c, a3, x, g: (*back_through_all(a1, c, a3, x, g)[:3], correlate(c, a3 * g)),
        ),
    ),
)

GRADIENTS = (DIAGONAL, TRANSPOSE, CIRCULANT, CHAIN)
