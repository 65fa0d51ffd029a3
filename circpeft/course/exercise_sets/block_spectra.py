"""The exercises of notebook 04 on products, spectra, the nearest matrix and the transposed one."""

import torch
from torch import Tensor

from ..exercise_inputs import random
from ..exercise_type import Exercise, Twin
from .block_grids import place
from .matrices import blocks


def transforms(m: int, n: int) -> tuple[int, int]:
    """Return the transforms of length b for each token, and those once in a step."""
    return n + m, m * n


def transforms_solution(m, n):
    return n + m, m * n


def spectral_values(w: Tensor) -> Tensor:
    """Return the singular values of the block-circulant matrix of w (m, n, b), largest first."""
    return torch.linalg.svdvals(blocks(w))


def spectral_values_solution(w):
    frequencies = torch.fft.fft(w).permute(2, 0, 1)
    return torch.linalg.svdvals(frequencies).flatten().sort(descending=True).values


def nearest(target: Tensor, b: int) -> Tensor:
    """Return the kernels (m, n, b) of the nearest block-circulant matrix in the row layout: means of diagonals."""
    m, n = target.shape[0] // b, target.shape[1] // b
    kernels = torch.zeros(m, n, b, dtype=target.dtype)
    for i in range(m * b):
        for j in range(n * b):
            kernels[place(i, j, b)] += target[i, j] / b
    return kernels


def nearest_solution(target, b):
    blocks = target.reshape(-1, b, target.shape[1] // b, b).transpose(1, 2)
    r = torch.arange(b)
    return torch.stack([blocks[..., r, (r + k) % b].mean(-1) for k in range(b)], -1)


def transposed(w: Tensor) -> Tensor:
    """Return the kernels (n, m, b) of the transposed matrix of w (m, n, b), in the same layout."""
    m, n, b = w.shape
    return blocks(w).T[::b].reshape(n, m, b)  # the first row of each block row holds the kernels


def transposed_solution(w):
    return w.transpose(0, 1).flip(-1).roll(1, -1)


def other_blocks(target: Tensor, b: int) -> Tensor:
    """Return the kernels of the nearest matrix in the column layout."""
    return nearest(target, b).flip(-1).roll(1, -1)


def _first_rows(target: Tensor, b: int) -> Tensor:
    return target[::b].reshape(-1, target.shape[1] // b, b).clone()


def _one_kernel(target: Tensor, b: int) -> Tensor:
    kernels = nearest(target, b)
    return kernels.mean((0, 1), keepdim=True).expand_as(kernels).clone()


SPECTRUM_EXERCISES = (
    Exercise(
        "04.5",
        "How many transforms a step needs",
        1,
        5,
        "The transform is linear: the n products can be summed before going back. Which transforms do not depend on "
        "the token?",
        transforms,
        lambda g: [(7, 3), (2, 5), (1, 8), (4, 4), (6, 1), (1, 1)],
        twins=(
            Twin(
                "sum after the inverse transform",
                "You transform each of the m n products back. Their sum over the inputs can be taken before that.",
                lambda m, n: (n + m * n, m * n),
            ),
            Twin(
                "inputs transformed for each output block",
                "You transform each piece of the input m times. All m output blocks can use the same spectra.",
                lambda m, n: (m * n + m, m * n),
            ),
            Twin(
                "kernels for every token",
                "You count the kernels' transforms for each token. They are the same for all tokens of a step.",
                lambda m, n: (n + m + m * n, 0),
            ),
            Twin(
                "kernels forgotten",
                "Your count for a token is right. But the kernels change in each step, and need a transform each.",
                lambda m, n: (n + m, 0),
            ),
        ),
        solution=transforms_solution,
    ),
    Exercise(
        "04.6",
        "Singular values, frequency by frequency",
        3,
        20,
        "Transform the kernels: w has shape (m, n, b), and torch.fft.fft(w) holds an m by n matrix for each of the b "
        "frequencies. Move the frequencies to the front; torch.linalg.svdvals takes a batch of matrices.",
        spectral_values,
        lambda g: [(random(g, *shape),) for shape in ((2, 3, 7), (3, 2, 4), (1, 1, 7), (2, 2, 6), (1, 4, 5))],
        twins=(
            Twin(
                "half of the frequencies",
                "You used rfft, which leaves out the mirrored frequencies. Each of them has its own singular values.",
                lambda w: torch.linalg.svdvals(torch.fft.rfft(w).permute(2, 0, 1)).flatten().sort(descending=True)[0],
            ),
            Twin(
                "squared",
                "Your values are the squares: eigenvalues of A^H A. Take their square roots.",
                lambda w: spectral_values_solution(w).square(),
            ),
            Twin(
                "divided by √b",
                "Your transform is the unitary one. The eigenvalues of a circulant are those of the plain transform.",
                lambda w: spectral_values_solution(w) / w.shape[-1] ** 0.5,
            ),
            Twin(
                "ascending",
                "Your values are right, but in ascending order. Return the largest one first.",
                lambda w: spectral_values_solution(w).flip(0),
            ),
            Twin(
                "not sorted",
                "Your values are right, but in the order of the frequencies. Sort them, the largest one first.",
                lambda w: torch.linalg.svdvals(torch.fft.fft(w).permute(2, 0, 1)).flatten(),
            ),
            Twin(
                "each block by itself",
                "You return the singular values of the single blocks. The blocks act together: at each frequency "
                "they form one m by n matrix. Return the singular values of these matrices.",
                lambda w: torch.fft.fft(w).abs().flatten().sort(descending=True)[0],
            ),
        ),
        importance=3,
        allowed="`torch.fft`, and `torch.linalg` on matrices with m × n entries; do not build the large matrix.",
        forbidden=("circpeft",),
        no_matrix=lambda w: [(w.shape[0] * w.shape[2], w.shape[1] * w.shape[2])],
        solution=spectral_values_solution,
    ),
    Exercise(
        "04.7",
        "The nearest block-circulant matrix",
        2,
        15,
        "All cells on one wrapped diagonal of a block get the same number. Which number has the smallest sum of "
        "squared distances to b given ones?",
        nearest,
        lambda g: [(random(g, *shape), b) for *shape, b in ((14, 21, 7), (7, 7, 7), (6, 9, 3), (8, 4, 4), (5, 10, 5))],
        twins=(
            Twin(
                "sum instead of mean",
                "You sum over each diagonal. That is the gradient for the kernel; the nearest number is the mean.",
                lambda target, b: b * nearest(target, b),
            ),
            Twin(
                "layout exchanged",
                "Your kernels are right in the column layout. In the row layout, entry k belongs to column - row = k.",
                other_blocks,
            ),
            Twin(
                "first row only",
                "You took the first row of each block as its kernel. The other rows of the target count as well.",
                _first_rows,
            ),
            Twin(
                "one kernel for all blocks",
                "You averaged over all blocks, too. Each block has a kernel of its own.",
                _one_kernel,
            ),
        ),
        importance=3,
        solution=nearest_solution,
    ),
    Exercise(
        "04.8",
        "Transposing a block-circulant matrix",
        2,
        10,
        "Transposing the matrix exchanges block (I, J) with block (J, I), and transposes each block. What does the "
        "second do to a kernel, if the layout stays the same?",
        transposed,
        lambda g: [(random(g, *shape),) for shape in ((2, 3, 7), (3, 3, 5), (1, 1, 4), (2, 2, 6), (4, 1, 3))],
        twins=(
            Twin(
                "grid not transposed",
                "You transposed every block where it stands. Block (I, J) also has to move to (J, I).",
                lambda w: w.flip(-1).roll(1, -1),
            ),
            Twin(
                "blocks not transposed",
                "You moved the blocks, but left them as they are. Each of them has to be transposed as well.",
                lambda w: w.transpose(0, 1).clone(),
            ),
            Twin(
                "reversed without the shift",
                "You reversed each kernel with flip. Entry 0 has to stay where it is: k becomes -k mod b.",
                lambda w: w.transpose(0, 1).flip(-1),
            ),
        ),
        solution=transposed_solution,
    ),
)
