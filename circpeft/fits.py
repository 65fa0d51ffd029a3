"""Best fits of a given matrix: low rank, block-circulant, and diagonal times circulant times diagonal.

They show how much of a known ΔW, such as that of full fine-tuning, each form of adapter can represent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .ops import block_circulant
from .ops.block_size import dividing_block_size
from .ops.checks import check_layout
from .ops.delta import kernel_from_delta
from .suggest import nearest

STARTS = ("ones", "rank one", "sizes")
RANDOM = "random"


def share(matrix: Tensor, fit: Tensor) -> float:
    """Return the share of a matrix that a fit represents: ``1 - |M - fit|² / |M|²`` in the Frobenius norm.

    1 is an exact fit, 0 is as far as the matrix of zeros. The relative error is ``sqrt(1 - share)``.

    Shapes: two matrices of one shape.

    Raises: ValueError for a matrix of zeros, or two shapes.

    >>> share(torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    0.5
    """
    _check(matrix)
    if matrix.shape != fit.shape:
        raise ValueError(f"expected a fit of shape {tuple(matrix.shape)}, got {tuple(fit.shape)}")
    return float(1 - (matrix - fit).square().sum() / matrix.square().sum())


def low_rank_share(matrix: Tensor, parameters: float) -> float:
    """Return the share of a matrix that the best one of low rank represents, with this number of parameters.

    Formula: ``Σ_{i<=r} σ_i² / Σ σ_i²`` with the singular values σ (Eckart and Young), at the rank
    ``r = parameters / (d_in + d_out)`` of a LoRA. A rank between two integers takes its part of the next ``σ_i²``, so
    that every method can be compared at its own number of parameters.

    Raises: ValueError for a matrix of zeros, or a negative number of parameters.

    >>> matrix = torch.diag(torch.tensor([2.0, 1.0, 1.0]))
    >>> [round(low_rank_share(matrix, parameters), 3) for parameters in (3, 6, 12, 100)]
    [0.333, 0.667, 0.833, 1.0]
    """
    _check(matrix)
    if not parameters >= 0:
        raise ValueError(f"parameters must be at least 0, got {parameters!r}")
    energies = torch.linalg.svdvals(matrix).square()
    rank = min(parameters / sum(matrix.shape), len(energies))
    whole = int(rank)
    part = (rank - whole) * energies[whole] if whole < len(energies) else 0.0
    return float((energies[:whole].sum() + part) / energies.sum())


def block_circulant_fit(matrix: Tensor, block_size: int | str = "auto", layout: str = "column") -> Tensor:
    """Return the kernel of the block-circulant matrix that is closest to a given one.

    Formula: ``w[i, j, k]`` is the mean of block ``(i, j)`` along its k-th wrapped diagonal. This is the orthogonal
    projection in the Frobenius norm. Both layouts describe the same matrices, so they give the same fit. Of a matrix
    with independent entries of mean zero and equal variance, the fit represents ``1 / b`` on average.

    Args:
        matrix: ``M: (d_out, d_in)``.
        block_size: ``b``, a common divisor of both dimensions; "auto" is the greatest one.
        layout: "column" or "row", see `circpeft.circulant`.

    Shapes: ``(d_out, d_in) -> (d_out/b, d_in/b, b)``.

    Raises: ValueError for an unknown layout, or a block size that does not divide both dimensions.

    >>> block_circulant_fit(torch.tensor([[1.0, 4.0], [2.0, 3.0]]))
    tensor([[[2., 3.]]])
    """
    check_layout(layout)
    b = _block_size(matrix, block_size)
    return _diagonal_sums(matrix, b, layout) / b


class DiagonalCirculantFit(NamedTuple):
    """A product ``A3 C A1`` that approximates a matrix.

    Attributes:
        a1: the diagonal on the side of the input, ``(d_in,)``.
        kernel: the kernel of the block-circulant matrix C in the column layout, ``(d_out/b, d_in/b, b)``.
        a3: the diagonal on the side of the output, ``(d_out,)``.
        shares: for each start the share of the matrix that is represented after each sweep.
    """

    a1: Tensor
    kernel: Tensor
    a3: Tensor
    shares: dict[str, list[float]]

    @property
    def matrix(self) -> Tensor:
        """The product ``A3 C A1``, with shape ``(d_out, d_in)``."""
        return self.a3[:, None] * block_circulant(self.kernel) * self.a1


def diagonal_circulant_fit(
    matrix: Tensor,
    block_size: int | str = "auto",
    starts: tuple[str, ...] = STARTS,
    random_starts: int = 2,
    sweeps: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> DiagonalCirculantFit:
    """Return a product ``A3 C A1`` close to a matrix, the best of several starts.

    Method: alternating least squares. With two factors fixed, the best third one has a closed form: each entry is a
    quotient of two sums. A sweep computes C, then A3, then A1, so the error never grows. The problem is not convex, so
    the best error may be smaller than that of any start. A best product need not even exist: for some matrices the
    error goes on falling, ever more slowly, while the entries of the diagonals move apart without limit.

    With the start "ones" the fit is at least as good as `block_circulant_fit`. With "rank one" it is at least as good
    as the best matrix of rank one, which is a product with constant kernels.

    Args:
        matrix: ``M: (d_out, d_in)``.
        block_size: ``b``, a common divisor of both dimensions; "auto" is the greatest one.
        starts: of the two diagonals: "ones"; "rank one", the first singular vectors; "sizes", the root mean squares of
            the rows and the columns.
        random_starts: number of further starts, with diagonals of normal values.
        sweeps: largest number of sweeps of one start.
        tolerance: a start ends when a sweep adds less than this part of the share it has reached.
        seed: seed of the random starts.

    Raises: ValueError for a matrix of zeros, an unknown start, no start, fewer than one sweep, or a block size that
    does not divide both dimensions.

    >>> a, c = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([[[1.0, 2.0, -1.0]]])
    >>> target = a[:, None] * block_circulant(c) * a
    >>> fit = diagonal_circulant_fit(target, random_starts=8, sweeps=500, tolerance=1e-6)
    >>> share(target, fit.matrix) > 0.999
    True
    """
    _check(matrix)
    b, size = _block_size(matrix, block_size), matrix.norm()
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps!r}")
    points = _start_points(matrix, starts, random_starts, seed)
    if not points:
        raise ValueError("a fit needs a start, got starts=() and random_starts=0")
    best: tuple[float, Tensor, Tensor, Tensor] | None = None
    shares: dict[str, list[float]] = {}
    for name, (a1, a3) in points.items():
        shares[name] = []
        for _ in range(sweeps):
            a1, kernel, a3, reached = _sweep(matrix / size, a1, a3, b)
            shares[name].append(reached)
            if len(shares[name]) > 1 and reached - shares[name][-2] <= tolerance * reached:
                break
        if best is None or reached > best[0]:
            best = reached, a1, kernel * size, a3
    assert best is not None  # there is a start
    _, diagonal_in, kernel, diagonal_out = best
    return DiagonalCirculantFit(diagonal_in, kernel, diagonal_out, shares)


def _start_points(
    matrix: Tensor, starts: tuple[str, ...], random_starts: int, seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the diagonals ``(a1, a3)`` of each start by name."""
    d_out, d_in = matrix.shape
    points: dict[str, tuple[Tensor, Tensor]] = {}
    for name in starts:
        if name == "ones":
            points[name] = matrix.new_ones(d_in), matrix.new_ones(d_out)
        elif name == "rank one":
            u, _, v = torch.linalg.svd(matrix, full_matrices=False)
            points[name] = v[0], u[:, 0]
        elif name == "sizes":
            points[name] = matrix.square().mean(0).sqrt(), matrix.square().mean(1).sqrt()
        else:
            raise ValueError(f"unknown start {name!r}; {nearest(name, STARTS)}")
    numbers = torch.Generator().manual_seed(seed)
    for i in range(random_starts):
        a1, a3 = (torch.randn(d, generator=numbers, dtype=torch.float64).to(matrix) for d in (d_in, d_out))
        points[f"{RANDOM} {i}"] = a1, a3
    return points


def _sweep(matrix: Tensor, a1: Tensor, a3: Tensor, b: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return ``a1``, the kernel and ``a3`` after one sweep, and the share that they represent of a matrix of norm 1."""
    a1, a3 = _unit(a1), _unit(a3)  # only the product has a meaning
    kernel = _quotient(_diagonal_sums(a3[:, None] * matrix * a1, b), _outer_sums(a3.square(), a1.square(), b))
    circulant = block_circulant(kernel)
    products, squares = matrix * circulant, circulant.square()
    a3 = _quotient(products @ a1, squares @ a1.square())
    sums = products.T @ a3
    a1 = _quotient(sums, squares.T @ a3.square())
    # After a least-squares step, the inner product of fit and matrix is the squared norm of the fit.
    return a1, kernel, a3, float(sums @ a1)


def _diagonal_sums(matrix: Tensor, b: int, layout: str = "column") -> Tensor:
    """Return the sums along the wrapped diagonals of each block: ``(m*b, n*b) -> (m, n, b)``."""
    d_out, d_in = matrix.shape
    return kernel_from_delta(matrix, d_out // b, d_in // b, b, layout)


def _outer_sums(y: Tensor, x: Tensor, b: int) -> Tensor:
    """Return `_diagonal_sums` of the outer product of two vectors, ``(m*b,)`` and ``(n*b,)``."""
    twice = torch.cat([y.view(-1, b)] * 2, -1)
    return x.view(1, -1, b) @ twice.unfold(-1, b, 1)[:, :b]


def _quotient(upper: Tensor, lower: Tensor) -> Tensor:
    """Return the quotient; 0 where both are 0: such an entry changes nothing."""
    return torch.where(lower > 0, upper / lower, torch.zeros_like(upper))


def _unit(diagonal: Tensor) -> Tensor:
    """Return a diagonal with the root mean square 1."""
    return diagonal / diagonal.square().mean().sqrt()


def _check(matrix: Tensor) -> None:
    if matrix.dim() != 2 or not matrix.any():
        raise ValueError(f"expected a matrix with an entry that is not zero, got shape {tuple(matrix.shape)}")


def _block_size(matrix: Tensor, block_size: int | str) -> int:
    if matrix.dim() != 2:
        raise ValueError(f"expected a matrix, got shape {tuple(matrix.shape)}")
    return dividing_block_size(block_size, matrix.shape[1], matrix.shape[0])
