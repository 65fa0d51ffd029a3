"""Exercises of notebook 02 on the gradients of one block, step by step."""

import torch
from torch.fft import irfft, rfft

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Twin
from .matrices import column, row, square
from .nb02_product import PRODUCT

AUTOGRAD = (
    "torch.autograd.grad",
    "torch.autograd.backward",
    "torch.autograd.functional",
    "torch.Tensor.backward",
    "torch.func.grad",
    "torch.func.jacrev",
    "torch.func.jacfwd",
    "torch.func.vjp",
)


def dx_by_indices(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    b = len(w)
    return torch.stack([sum(w[(j - i) % b] * g[i] for i in range(b)) for j in range(b)])


def dx_by_transforms(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return irfft(rfft(w) * rfft(g), n=len(g))


def jacobian_for_kernel(x: torch.Tensor) -> torch.Tensor:
    i = torch.arange(len(x))
    return x[(i[:, None] + i[None, :]) % len(x)]


def dw_by_transforms(g: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return irfft(rfft(g).conj() * rfft(x), n=len(x))


PRINTED_DX = Twin(
    "the equation that the paper prints",
    "This is C(w) g, without the transpose: it sums over the inputs. Each x[j] affects all outputs, so sum over those.",
    lambda w, g: row(w) @ g,
)
PEFT_DX = Twin(
    "PEFT's gradient",
    "This is C(g) w, what PEFT computes: the paper's equation with its index reversed. It still lacks the transpose.",
    lambda w, g: row(g) @ w,
)


GRADIENTS = (
    Exercise(
        "02.3",
        "The gradient for the input, by indices",
        2,
        10,
        "z[i] contains the term w[(j - i) mod b] x[j]. So how much does z[i] change if x[j] does? By the chain rule, "
        "multiply by g[i], and sum over all outputs i that x[j] affects.",
        lambda w, g: row(w).T @ g,
        vectors(2),
        twins=(
            PRINTED_DX,
            PEFT_DX,
            Twin(
                "one off",
                "Every entry of the result is one place too late. Indices count from 0: at i = j, the factor is w[0].",
                lambda w, g: (row(w).T @ g).roll(1),
            ),
        ),
        importance=3,
        allowed="sums over indices; no matrix, no FFT and no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD, "torch.fft"),
        no_matrix=square,
        solution=dx_by_indices,
    ),
    Exercise(
        "02.4",
        "The gradient for the input",
        2,
        10,
        "Because y = C x, the gradient is dx = C^T g. The transpose of a circulant with first row w is the circulant "
        "with first column w. The forward pass conjugates one spectrum. Is that still needed here?",
        lambda w, g: row(w).T @ g,
        vectors(2),
        twins=(
            PRINTED_DX,
            PEFT_DX,
            Twin(
                "both conjugated",
                "Conjugating both spectra reverses the index of the result. Here neither is conjugated.",
                lambda w, g: (row(w).T @ g).flip(0).roll(1),
            ),
            Twin(
                "length missing",
                "irfft assumes an even length. Pass n=len(g), or an odd length loses an entry.",
                lambda w, g: irfft(rfft(w) * rfft(g)),
            ),
        ),
        importance=3,
        allowed="`rfft`, `irfft`, `conj` and products entry by entry; no matrix and no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD),
        no_matrix=square,
        solution=dx_by_transforms,
    ),
    Exercise(
        "02.5",
        "The Jacobian for the kernel",
        2,
        10,
        "In z[i], the sum over j of w[(j - i) mod b] x[j], which x[j] is multiplied by w[k]? Solve j - i = k for j.",
        lambda x: torch.stack([row(e) @ x for e in torch.eye(len(x), dtype=x.dtype)], dim=1),
        vectors(1),
        twins=(
            Twin(
                "what the paper puts in its place",
                "This is C(x), with entries x[k - i]. That would be right if kernel and vector could be exchanged.",
                row,
            ),
            Twin(
                "layout exchanged",
                "This is the Jacobian of the column layout, with entries x[i - k].",
                column,
            ),
            Twin(
                "one off",
                "The indices are one too large. At i = 0 and k = 0, the kernel's first entry meets x[0].",
                lambda x: jacobian_for_kernel(x.roll(-1)),
            ),
        ),
        importance=3,
        allowed="indexing and `torch.arange`; no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD),
        solution=jacobian_for_kernel,
    ),
    Exercise(
        "02.6",
        "The gradient for the kernel",
        2,
        15,
        "Because y[i] = sum over k of w[k] x[(i + k) mod b], dw[k] = sum over i of g[i] x[(i + k) mod b]. "
        "This is the forward pass with another vector in place of the kernel.",
        lambda g, x: row(g) @ x,
        vectors(2),
        twins=(
            Twin(
                "the equation that the paper prints",
                "This is C(x) g, the right answer with its index reversed. The conjugate belongs to the spectrum of g.",
                lambda g, x: row(x) @ g,
            ),
            Twin(
                "conjugate missing",
                "This is the convolution of g and x. In the sum, the indices of g and x differ by k, so it is a "
                "correlation.",
                lambda g, x: column(g) @ x,
            ),
            Twin(
                "length missing",
                "irfft assumes an even length. Pass n=len(x), or an odd length loses an entry.",
                lambda g, x: irfft(rfft(g).conj() * rfft(x)),
            ),
        ),
        importance=3,
        allowed="`rfft`, `irfft`, `conj` and products entry by entry; no matrix and no autograd.",
        forbidden=(*PRODUCT, *AUTOGRAD),
        no_matrix=square,
        solution=dw_by_transforms,
    ),
)
