"""Exercises on CDVFT's product A3 C A1: its entries, its forward pass, its blocks, and its parameters."""

import torch

from ..exercise_inputs import random, vectors
from ..exercise_type import Exercise, Twin
from .matrices import column, row
from .spectral_products import convolve, correlate


def cdvft_matrix(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor) -> torch.Tensor:
    """Return ΔW = A3 C A1, where a1 and a3 are the diagonals and c is the first column of C. All are (d,)."""
    return torch.diag(a3) @ column(c) @ torch.diag(a1)


def cdvft_forward(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = A3 C A1 x, where a1 and a3 are the diagonals and c is the first column of C. All are (d,)."""
    return cdvft_matrix(a1, c, a3) @ x


def column_blocks(w: torch.Tensor) -> torch.Tensor:
    """Return the matrix (m*b, n*b) whose block (i, j) is the circulant with first column w[i, j], for w (m, n, b)."""
    return torch.cat([torch.cat([column(kernel) for kernel in line], dim=1) for line in w])


def padded_forward(w: torch.Tensor, x: torch.Tensor, d_out: int) -> torch.Tensor:
    """Return the first d_out entries of C x', where x' is x with zeros at its end: for w (m, n, b), x (d_in,)."""
    return (column_blocks(w)[:, : len(x)] @ x)[:d_out]


def matrix_entries(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor) -> torch.Tensor:
    i = torch.arange(len(c))
    return a3[:, None] * c[(i[:, None] - i) % len(c)] * a1


def forward(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    spectrum = torch.fft.rfft(c) * torch.fft.rfft(a1 * x)
    return a3 * torch.fft.irfft(spectrum, n=len(x))


def blocks_forward(w: torch.Tensor, x: torch.Tensor, d_out: int) -> torch.Tensor:
    m, n, b = w.shape
    pieces = torch.nn.functional.pad(x, (0, n * b - len(x))).view(n, b)
    spectra = (torch.fft.rfft(w) * torch.fft.rfft(pieces)).sum(1)
    return torch.fft.irfft(spectra, n=b).flatten()[:d_out]


def _padded_inputs(g: torch.Generator) -> list[tuple]:
    shapes = [(1, 2, 4, 7, 3), (2, 3, 4, 10, 7), (3, 2, 5, 9, 13), (2, 2, 7, 14, 14), (1, 3, 3, 8, 2)]
    return [(random(g, m, n, b), random(g, d_in), d_out) for m, n, b, d_in, d_out in shapes]


def _dealt_out(w: torch.Tensor, x: torch.Tensor, d_out: int) -> torch.Tensor:
    """Return the product if neighbouring features are dealt out to different blocks."""
    _, n, b = w.shape
    padded = torch.nn.functional.pad(x, (0, n * b - len(x)))
    return blocks_forward(w, padded.view(b, n).T.flatten(), d_out)


def _up(d: int, b: int) -> int:
    return -(-d // b)


def cdvft_parameters(d_in: int, d_out: int, b: int) -> int:
    """Return d_in + d_out + ceil(d_in / b) * ceil(d_out / b) * b: two diagonals and a kernel per padded block."""
    return d_in + d_out + -(-d_in // b) * -(-d_out // b) * b


MATRIX = Exercise(
    "03.1",
    "CDVFT's matrix, entry by entry",
    1,
    5,
    "Multiply C by A1 first: what happens to column j of C? Then multiply by A3 from the left: what happens to row i? "
    "A vector of shape (d, 1) scales rows by broadcasting, one of shape (1, d) scales columns.",
    cdvft_matrix,
    vectors(3),
    importance=3,
    allowed="indexing and broadcasting, no matrix product.",
    forbidden=("circpeft", "torch.matmul", "torch.Tensor.matmul", "torch.mm", "torch.diag"),
    solution=matrix_entries,
    twins=(
        Twin(
            "diagonals exchanged",
            "You computed A1 C A3: your a1 scales the rows. A1 is next to x, so it scales the columns.",
            lambda a1, c, a3: matrix_entries(a3, c, a1),
        ),
        Twin(
            "layout exchanged",
            "In your circulant c is the first row. In CDVFT it is the first column: C[i, j] = c[(i - j) mod d].",
            lambda a1, c, a3: a3[:, None] * row(c) * a1,
        ),
        Twin(
            "both diagonals on the columns",
            "Both of your diagonals scale columns. A3 is on the left of C, so a3 scales the rows: use a3[:, None].",
            lambda a1, c, a3: column(c) * a1 * a3,
        ),
    ),
)

FORWARD = Exercise(
    "03.2",
    "CDVFT's forward pass",
    1,
    5,
    "A diagonal matrix times a vector is an elementwise product. The circulant in the middle is a convolution. "
    "Give torch.fft.irfft the length n=len(x): without it, a vector of odd length comes back one entry too short.",
    cdvft_forward,
    vectors(4),
    importance=3,
    allowed="products of vectors and `torch.fft`, no matrix.",
    forbidden=("circpeft",),
    no_matrix=lambda a1, c, a3, x: [(len(x), len(x))],
    solution=forward,
    twins=(
        Twin(
            "diagonals exchanged",
            "You computed A1 C A3 x. The factor on the right acts first, so x meets a1 before the convolution.",
            lambda a1, c, a3, x: forward(a3, c, a1, x),
        ),
        Twin(
            "one conjugate too many",
            "You multiplied by the transpose of C. That is a correlation; CDVFT's product is a convolution, so neither "
            "spectrum is conjugated.",
            lambda a1, c, a3, x: a3 * correlate(c, a1 * x),
        ),
        Twin(
            "first diagonal forgotten",
            "You computed A3 C x: the step y1 = a1 * x is missing.",
            lambda a1, c, a3, x: a3 * convolve(c, x),
        ),
        Twin(
            "last diagonal forgotten",
            "You computed C A1 x: the step y3 = a3 * y2 is missing.",
            lambda a1, c, a3, x: convolve(c, a1 * x),
        ),
    ),
)

PADDED = Exercise(
    "03.8",
    "A layer that b does not divide",
    2,
    15,
    "Append n b - d_in zeros to x and view it as (n, b). Multiply its spectra by those of w, of shape (m, n, "
    "b//2 + 1), and sum over n before the inverse transform. Flatten the m blocks and keep the first d_out entries.",
    padded_forward,
    _padded_inputs,
    allowed="`torch.fft` and reshaping; try it without a loop over the blocks.",
    forbidden=("circpeft",),
    no_matrix=lambda w, x, d_out: [(w.shape[0] * w.shape[2], w.shape[1] * w.shape[2])],
    solution=blocks_forward,
    twins=(
        Twin(
            "layout exchanged",
            "Your kernels are the first rows of their blocks. In CDVFT they are the first columns, so no spectrum is "
            "conjugated.",
            lambda w, x, d_out: blocks_forward(w.flip(-1).roll(1, -1), x, d_out),
        ),
        Twin(
            "zeros in front",
            "You put the zeros before x. Then every entry of x moves to another place of its block. They come after x.",
            lambda w, x, d_out: blocks_forward(w, torch.nn.functional.pad(x, (w[0].numel() - len(x), 0)), d_out),
        ),
        Twin(
            "last outputs kept",
            "You kept the last d_out of the m b outputs. The surplus ones are at the end: keep the first.",
            lambda w, x, d_out: blocks_forward(w, x, w[:, 0].numel())[-d_out:],
        ),
        Twin(
            "features dealt out in turn",
            "You gave neighbouring features to different blocks. A block takes b features in a row: view x as (n, b), "
            "not as (b, n).",
            _dealt_out,
        ),
    ),
)

PARAMETERS = Exercise(
    "03.9",
    "Counting CDVFT's parameters",
    1,
    5,
    "There are two diagonals, one as long as the input and one as long as the output. If b does not divide a "
    "side, the last block is padded. So round the number of blocks up: -(-d // b).",
    cdvft_parameters,
    lambda g: [(8, 8, 4), (768, 768, 768), (384, 1536, 384), (10, 7, 4), (4096, 11008, 2048), (5, 9, 16)],
    allowed="integer arithmetic.",
    solution=cdvft_parameters,
    twins=(
        Twin(
            "rounded down",
            "You rounded the number of blocks down, so the features after the last whole block have no kernel.",
            lambda d_in, d_out, b: d_in + d_out + (d_in // b) * (d_out // b) * b,
        ),
        Twin(
            "padded to a square",
            "You counted a square of blocks, as the paper's Table 3 does. A rectangle is enough: "
            "ceil(d_in / b) blocks across and ceil(d_out / b) down.",
            lambda d_in, d_out, b: d_in + d_out + _up(max(d_in, d_out), b) ** 2 * b,
        ),
        Twin(
            "diagonals padded too",
            "Your diagonals are as long as the padded vectors. They act on the d_in real inputs and the d_out real "
            "outputs only.",
            lambda d_in, d_out, b: (_up(d_in, b) + _up(d_out, b) + _up(d_in, b) * _up(d_out, b)) * b,
        ),
        Twin(
            "one diagonal forgotten",
            "One of the two diagonals is missing: there is one before the circulant and one after it.",
            lambda d_in, d_out, b: d_out + _up(d_in, b) * _up(d_out, b) * b,
        ),
        Twin(
            "kernels only",
            "You counted the circulant factor. Each of the two diagonals has numbers of its own.",
            lambda d_in, d_out, b: _up(d_in, b) * _up(d_out, b) * b,
        ),
        Twin(
            "blocks instead of kernels",
            "You counted the blocks. Each of them has a kernel of b numbers.",
            lambda d_in, d_out, b: d_in + d_out + _up(d_in, b) * _up(d_out, b),
        ),
    ),
)

PRODUCT = (MATRIX, FORWARD, PADDED, PARAMETERS)
