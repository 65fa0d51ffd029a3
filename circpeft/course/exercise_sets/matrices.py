"""Circulant matrices from their definition: short and easy to check, but slow."""

import torch


def column(c: torch.Tensor) -> torch.Tensor:
    """Return the circulant C (b, b) with first column c (b,): C[i, j] = c[(i - j) mod b].

    >>> column(torch.tensor([1, 2, 3]))
    tensor([[1, 3, 2],
            [2, 1, 3],
            [3, 2, 1]])
    """
    i = torch.arange(len(c))
    return c[(i[:, None] - i[None, :]) % len(c)]


def row(w: torch.Tensor) -> torch.Tensor:
    """Return the circulant C (b, b) with first row w (b,): C[i, j] = w[(j - i) mod b].

    >>> row(torch.tensor([1, 2, 3]))
    tensor([[1, 2, 3],
            [3, 1, 2],
            [2, 3, 1]])
    """
    i = torch.arange(len(w))
    return w[(i[None, :] - i[:, None]) % len(w)]


def square(first: torch.Tensor, *others: torch.Tensor) -> list[tuple[int, int]]:
    """Return the shape of the circulant of a vector (b,), as the list that `Exercise.no_matrix` asks for."""
    return [(len(first), len(first))]


def blocks(w: torch.Tensor) -> torch.Tensor:
    """Return the matrix (m*b, n*b) whose block (i, j) is the circulant with first row w[i, j], for w (m, n, b).

    >>> blocks(torch.tensor([[[1, 2], [3, 4]]]))
    tensor([[1, 2, 3, 4],
            [2, 1, 4, 3]])
    """
    return torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in w])
