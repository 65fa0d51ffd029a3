"""Exercises of notebook 01 on real transforms, and on the product and the inverse by transforms."""

import torch
from torch.fft import fft, irfft, rfft

from ..exercise_inputs import SIZES, random, vectors
from ..exercise_type import Exercise, Twin
from .matrices import column, row, square

PRODUCT = ("circpeft.circulant", "circpeft.block_circulant", "circpeft.block_circular_matmul")


def whole_spectrum(c: torch.Tensor) -> torch.Tensor:
    half, d = rfft(c), len(c)
    return torch.cat([half, half[1 : (d + 1) // 2].conj().flip(0)])


def convolution(c: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return irfft(rfft(c) * rfft(x), n=len(c))


def inverse_kernel(c: torch.Tensor) -> torch.Tensor:
    return irfft(1 / rfft(c), n=len(c))


def invertible(g: torch.Generator) -> list[tuple]:
    """Return kernels whose spectra stay away from zero."""
    kernels = [(random(g, b) / (2 * b),) for b in SIZES]
    for (c,) in kernels:
        c[1] += 2
    return kernels


SPECTRA = (
    Exercise(
        "01.6",
        "The whole spectrum from its half",
        2,
        10,
        "For a real vector, entry d - k is the conjugate of entry k. Which entries are missing, in which order? "
        "Entry 0, and entry d/2 of an even d, must not be repeated.",
        lambda c: fft(c),
        vectors(1),
        twins=(
            Twin(
                "conjugate missing",
                "The second half is the mirror image of the first, but with the opposite imaginary part.",
                lambda c: torch.cat([rfft(c), rfft(c)[1 : (len(c) + 1) // 2].flip(0)]),
            ),
            Twin(
                "order not reversed",
                "The conjugates come in the wrong order. Entry d - 1 mirrors entry 1, so it is the last one.",
                lambda c: torch.cat([rfft(c), rfft(c)[1 : (len(c) + 1) // 2].conj()]),
            ),
            Twin(
                "one off",
                "The mirrored part begins with entry 0, which is its own mirror image. Begin with entry 1.",
                lambda c: torch.cat([rfft(c), rfft(c)[: (len(c) - 1) // 2].conj().flip(0)]),
            ),
            Twin(
                "entry d/2 repeated",
                "This is right for odd lengths. For an even d, entry d/2 is its own mirror image: do not repeat it.",
                lambda c: torch.cat([rfft(c), rfft(c).conj().flip(0)])[: len(c)],
            ),
            Twin(
                "even lengths only",
                "This is right for even lengths. An odd d has no entry d/2, so the last entry that rfft returns has a "
                "mirror image, too.",
                lambda c: torch.cat([rfft(c), rfft(c)[1:-1].conj().flip(0)]),
            ),
        ),
        importance=1,
        allowed="`rfft`, `conj`, `flip`, `torch.cat` and indexing.",
        forbidden=(*PRODUCT, "torch.fft.fft", "torch.fft.ifft"),
        solution=whole_spectrum,
    ),
    Exercise(
        "01.7",
        "Circular convolution by FFT",
        1,
        5,
        "The FFT turns circular convolution into an entrywise product. Pass n=b to torch.fft.irfft: odd b needs it.",
        lambda c, x: column(c) @ x,
        vectors(2),
        twins=(
            Twin(
                "length missing",
                "irfft assumes an even length. Pass n=len(c), or an odd length loses an entry.",
                lambda c, x: irfft(rfft(c) * rfft(x)),
            ),
            Twin(
                "layout exchanged",
                "This is the correlation, the product in the row layout: one spectrum is conjugated. Convolution has "
                "no conjugate.",
                lambda c, x: row(c) @ x,
            ),
            Twin(
                "no transform",
                "This multiplies the vectors entry by entry. Only their spectra are multiplied in this way.",
                lambda c, x: c * x,
            ),
            Twin(
                "scale",
                "This is b times too small. irfft already divides by b.",
                lambda c, x: column(c) @ x / len(c),
            ),
            Twin(
                "values swapped",
                "This is the product in the row layout of x with c: the spectrum of x is conjugated. Convolution has "
                "no conjugate.",
                lambda c, x: row(x) @ c,
            ),
            Twin(
                "no transform back",
                "This is fft(fft(c) * fft(x)). The last of the three has to be the inverse transform.",
                lambda c, x: fft(fft(c) * fft(x)).real,
            ),
        ),
        importance=3,
        allowed="`rfft`, `irfft` and products entry by entry; no matrix.",
        forbidden=PRODUCT,
        no_matrix=square,
        solution=convolution,
    ),
    Exercise(
        "01.8",
        "The kernel of the inverse",
        2,
        10,
        "In the diagonal form, C is a transform, a diagonal matrix, and a transform back. What is the inverse of such "
        "a product, and what is the inverse of a diagonal matrix?",
        lambda c: torch.linalg.inv(column(c))[:, 0].clone(),
        invertible,
        twins=(
            Twin(
                "no transform",
                "This divides 1 by every entry of the kernel. Divide 1 by every entry of its spectrum instead.",
                lambda c: 1 / c,
            ),
            Twin(
                "transpose",
                "This is the kernel of the transpose. It is the inverse only if every frequency has absolute value 1.",
                lambda c: irfft(rfft(c).conj(), n=len(c)),
            ),
            Twin(
                "layout exchanged",
                "This is the first row of the inverse. The kernel in the column layout is its first column.",
                lambda c: inverse_kernel(c).flip(0).roll(1),
            ),
        ),
        allowed="`rfft`, `irfft` and operations entry by entry; no matrix.",
        forbidden=(*PRODUCT, "torch.linalg"),
        no_matrix=square,
        solution=inverse_kernel,
    ),
)
