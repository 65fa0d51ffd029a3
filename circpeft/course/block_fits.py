"""Block-circulant matrices of every block size that are nearest to one target, and what each of them costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import costs
from ..ops import block_circulant

SIDE = 48  # many divisors, and few enough cells to see each block


@dataclass(frozen=True)
class BlockFit:
    """The block-circulant matrix of one block size that is nearest to a target.

    Args:
        b: the block size.
        kernels: its kernels in the row layout, (m, n, b).
        matrix: the matrix, (m*b, n*b).
        singular_values: the matrix's, largest first.
        rank: the number of those above rounding.
        captured: 1 minus the squared relative error: 1 if the target is matched exactly.
        parameters: numbers in the kernels.
        flops_per_token: operations that one more token adds to a step, forward.
        flops_per_step: operations once in a step, for the spectra of the kernels.
    """

    b: int
    kernels: Tensor
    matrix: Tensor
    singular_values: Tensor
    rank: int
    captured: float
    parameters: int
    flops_per_token: float
    flops_per_step: float


def common_divisors(d_in: int, d_out: int) -> list[int]:
    """Return the block sizes that both sides of a layer allow, in ascending order.

    >>> common_divisors(32, 48)
    [1, 2, 4, 8, 16]
    """
    return [b for b in range(1, min(d_in, d_out) + 1) if d_in % b == d_out % b == 0]


def nearest_kernels(target: Tensor, b: int) -> Tensor:
    """Return the kernels of the block-circulant matrix with the smallest distance to a target, in the row layout.

    Formula: ``w[i, j, k]`` is the mean of block ``(i, j)`` over its wrapped diagonal ``column - row = k (mod b)``.

    Shapes: ``target: (m*b, n*b) -> (m, n, b)``.

    Raises: ValueError if b does not divide both sides.

    >>> nearest_kernels(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), 2)
    tensor([[[2., 3.]]])
    """
    rows, columns = target.shape
    if b not in common_divisors(columns, rows):
        raise ValueError(f"b={b} does not divide both {rows} and {columns}; choices: {common_divisors(columns, rows)}")
    r = torch.arange(b)
    blocks = target.reshape(rows // b, b, columns // b, b).transpose(1, 2)
    # Row r of the gathered block starts at its own diagonal, so that each wrapped diagonal is a column.
    shifted = blocks[..., r[:, None], (r[:, None] + r[None, :]) % b]
    return shifted.mean(-2)


def fit(target: Tensor, b: int) -> BlockFit:
    """Return the nearest block-circulant matrix of one block size, and its costs as a C3A adapter.

    Raises: ValueError if b does not divide both sides.

    >>> one = fit(torch.eye(4, dtype=torch.float64), 4)
    >>> one.parameters, one.rank, one.captured
    (4, 4, 1.0)
    """
    kernels = nearest_kernels(target, b)
    matrix = block_circulant(kernels, layout="row")
    d_out, d_in = target.shape
    # With alpha = d_in, C3A's scale is 1 and costs nothing.
    per_step, one_token = (costs.flops("c3a", d_in, d_out, tokens=t, block_size=b, alpha=d_in) for t in (0, 1))
    return BlockFit(
        b=b,
        kernels=kernels,
        matrix=matrix,
        singular_values=torch.linalg.svdvals(matrix),
        rank=int(torch.linalg.matrix_rank(matrix)),
        captured=float(matrix.square().sum() / target.square().sum()),
        parameters=kernels.numel(),
        flops_per_token=one_token - per_step,
        flops_per_step=per_step,
    )


def fits(target: Tensor) -> list[BlockFit]:
    """Return the nearest matrix for every block size that the target allows, from the largest to the smallest.

    >>> [one.parameters for one in fits(torch.ones(4, 6))]
    [12, 24]
    """
    d_out, d_in = target.shape
    return [fit(target, b) for b in reversed(common_divisors(d_in, d_out))]


def targets(side: int = SIDE, seed: int = 0) -> dict[str, Tensor]:
    """Return four targets with entries of mean square 1 by name: no structure, low rank, one circulant, rectangular.

    >>> {name: tuple(target.shape) for name, target in targets(12).items()}
    {'random': (12, 12), 'rank 2': (12, 12), 'one circulant': (12, 12), 'random, rectangular': (12, 8)}
    """
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    made = {
        "random": randn(side, side),
        "rank 2": randn(side, 2) @ randn(2, side),
        "one circulant": block_circulant(randn(1, 1, side), layout="row"),
        "random, rectangular": randn(side, 2 * side // 3),
    }
    return {name: target / math.sqrt(target.square().mean()) for name, target in made.items()}
