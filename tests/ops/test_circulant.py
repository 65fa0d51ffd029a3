"""Circulant matrices against their definition, entry by entry."""

import pytest
import torch

from circpeft import block_circulant, circulant

KERNELS = [(1, 1, 1), (2, 3, 1), (1, 1, 2), (3, 2, 5), (2, 2, 6), (1, 4, 7)]


@pytest.mark.parametrize("shape", KERNELS)
@pytest.mark.parametrize("layout", ["column", "row"])
def test_entries_are_those_of_the_definition(shape, layout):
    m, n, b = shape
    w = torch.randn(shape, dtype=torch.float64)
    dense = block_circulant(w, layout)
    assert dense.shape == (m * b, n * b) and dense.dtype == w.dtype
    for row in range(m * b):
        for column in range(n * b):
            i, p, j, q = row // b, row % b, column // b, column % b
            index = (p - q) % b if layout == "column" else (q - p) % b
            assert dense[row, column] == w[i, j, index]


@pytest.mark.parametrize("shape", KERNELS)
def test_the_layouts_are_each_others_transposes(shape):
    w = torch.randn(shape)
    assert torch.equal(circulant(w, "row"), circulant(w, "column").mT)
    assert torch.equal(block_circulant(w, "row"), block_circulant(w.transpose(0, 1), "column").T)


def test_batches_dtype_and_first_row_or_column():
    c = torch.randn(2, 3, 5, dtype=torch.bfloat16)
    assert circulant(c).shape == (2, 3, 5, 5) and circulant(c).dtype == c.dtype
    assert torch.equal(circulant(c)[..., :, 0], c)
    assert torch.equal(circulant(c, "row")[..., 0, :], c)


def test_gradients():
    c = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(circulant, (c,))
