"""Exercises of notebook 02 on many blocks, and on the other layout."""

import torch
from torch.fft import irfft, rfft

from ..exercise_inputs import block_inputs, random, vectors
from ..exercise_type import Exercise, Twin
from .matrices import blocks, column, row, square
from .nb02_gradients import AUTOGRAD
from .nb02_product import PRODUCT


def block_forward(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = C x, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: w (m, n, b), x (n*b,), y (m*b,).
    """
    return blocks(w) @ x


def blocks_by_transforms(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    m, n, b = w.shape
    x_hat = rfft(x.reshape(n, b))
    y_hat = (rfft(w).conj() * x_hat).sum(1)
    return irfft(y_hat, n=b).flatten()


def block_dx(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    m, n, b = w.shape
    g_hat = rfft(g.reshape(m, 1, b))
    return irfft((rfft(w) * g_hat).sum(0), n=b).flatten()


def reversed_kernels(w: torch.Tensor) -> torch.Tensor:
    """Return the kernels of the transposed blocks."""
    return w.flip(-1).roll(1, -1)


def large(w: torch.Tensor, *others: torch.Tensor) -> list[tuple[int, int]]:
    """Return the shape of the block-circulant matrix of kernels w (m, n, b)."""
    m, n, b = w.shape
    return [(m * b, n * b)]


def gradient_inputs(g: torch.Generator) -> list[tuple]:
    """Return kernels (m, n, b) and gradients of the output (m*b,)."""
    shapes = [(2, 2, 7), (2, 3, 3), (3, 2, 4), (4, 1, 5), (1, 1, 4)]
    return [(random(g, m, n, b), random(g, m * b)) for m, n, b in shapes]


def column_gradients(w: torch.Tensor, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (dw, dx) of y = C(w) x = C(x) w for g = dL/dy, where w is the first column of C(w). All are (b,)."""
    return column(x).T @ g, column(w).T @ g


def column_gradients_by_transforms(w, x, g):
    dw = irfft(rfft(x).conj() * rfft(g), n=len(g))
    dx = irfft(rfft(w).conj() * rfft(g), n=len(g))
    return dw, dx


BLOCKS = (
    Exercise(
        "02.12",
        "The forward pass for many blocks",
        3,
        15,
        "Split x into n pieces of length b and transform them. Multiply them by the spectra of w, of shape "
        "(m, n, b//2 + 1), sum over n in the frequency domain, and transform the m results back.",
        block_forward,
        block_inputs,
        twins=(
            Twin(
                "conjugate missing",
                "Every block is in the column layout here. Conjugate the spectra of the kernels.",
                lambda w, x: blocks(reversed_kernels(w)) @ x,
            ),
            Twin(
                "scale",
                "This is the mean over the blocks of a row. Their outputs add up.",
                lambda w, x: blocks(w) @ x / w.shape[1],
            ),
            Twin(
                "pieces in reverse order",
                "The first piece of x belongs to the first column of blocks. Here the last one meets it.",
                lambda w, x: blocks(w.flip(1)) @ x,
            ),
            Twin(
                "conjugate on the input",
                "The spectra of x are conjugated, so each output block has its index reversed. Conjugate those of w.",
                lambda w, x: reversed_kernels((blocks(w) @ x).reshape(len(w), -1)).flatten(),
            ),
        ),
        importance=3,
        allowed="`rfft`, `irfft`, `reshape`, `sum` and products entry by entry; no matrix.",
        forbidden=PRODUCT,
        no_matrix=large,
        solution=blocks_by_transforms,
    ),
    Exercise(
        "02.13",
        "The input gradient for many blocks",
        3,
        15,
        "Input piece j goes into all blocks of column j. So sum over the rows i of the grid. Each block passes its "
        "gradient back with its own transpose. What does transposing a block do to the conjugate of its spectrum?",
        lambda w, g: blocks(w).T @ g,
        gradient_inputs,
        twins=(
            Twin(
                "the equation that the paper prints",
                "The grid is transposed, but not the blocks: this sums C(w_ij) g_i over i. Drop the conjugate.",
                lambda w, g: blocks(w.transpose(0, 1)) @ g,
            ),
            Twin(
                "scale",
                "This is the mean over the rows of blocks. The gradients of all outputs add up.",
                lambda w, g: blocks(w).T @ g / w.shape[0],
            ),
            Twin(
                "pieces in reverse order",
                "The first piece of g belongs to the first row of blocks. Here the last one meets it.",
                lambda w, g: blocks(w.flip(0)).T @ g,
            ),
            Twin(
                "conjugate on the gradient",
                "The spectra of g are conjugated. In the transpose of a row-layout block, neither spectrum is.",
                lambda w, g: irfft((rfft(w) * rfft(g.reshape(len(w), 1, -1)).conj()).sum(0), n=w.shape[2]).flatten(),
            ),
        ),
        allowed="`rfft`, `irfft`, `reshape`, `sum` and products entry by entry; no matrix and no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD),
        no_matrix=large,
        solution=block_dx,
    ),
    Exercise(
        "02.14",
        "Both gradients in the other layout",
        3,
        15,
        "Write y[i] = sum over j of w[(i - j) mod b] x[j]. Which outputs depend on w[k], and which on x[j]? Both "
        "gradients are correlations with g. Which spectrum is conjugated in each?",
        column_gradients,
        vectors(3),
        twins=(
            Twin(
                "layout exchanged",
                "These are the gradients of the row layout, from section 3.",
                lambda w, x, g: (row(g) @ x, row(w).T @ g),
            ),
            Twin(
                "values swapped",
                "The gradient for w comes first, then the one for x.",
                lambda w, x, g: column_gradients(w, x, g)[::-1],
            ),
            Twin(
                "conjugate missing",
                "These are convolutions with g. The transpose conjugates the spectrum of x, and that of w.",
                lambda w, x, g: (column(x) @ g, column(w) @ g),
            ),
            Twin(
                "wrong spectrum conjugated",
                "Both results have their index reversed: it is not the spectrum of g that is conjugated.",
                lambda w, x, g: (row(g) @ x, row(g) @ w),
            ),
            Twin(
                "gradient for w of the row layout",
                "The gradient for x is right. That for w is the formula of the row layout: conjugate the spectrum of "
                "x, not that of g.",
                lambda w, x, g: (row(g) @ x, column(w).T @ g),
            ),
            Twin(
                "gradient for x of the row layout",
                "The gradient for w is right. That for x is the formula of the row layout: here the spectrum of w is "
                "conjugated.",
                lambda w, x, g: (column(x).T @ g, row(w).T @ g),
            ),
        ),
        allowed="`rfft`, `irfft`, `conj` and products entry by entry; no matrix and no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD),
        no_matrix=square,
        solution=column_gradients_by_transforms,
    ),
)
