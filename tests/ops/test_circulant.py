"""Circulant matrices, compared entry by entry with their definition."""

from importlib import import_module

import pytest
import torch

from circpeft import block_circulant, circulant
from circpeft.ops.circulant import fill_block_circulant

KERNELS = [(1, 1, 1), (2, 3, 1), (1, 1, 2), (3, 2, 5), (2, 2, 6), (1, 4, 7)]


@pytest.mark.parametrize("shape", KERNELS)
@pytest.mark.parametrize("layout", ["column", "row"])
def test_entries_equal_the_definition(shape, layout):
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
def test_the_layouts_are_transposes_of_each_other(shape):
    w = torch.randn(shape)
    assert torch.equal(circulant(w, "row"), circulant(w, "column").mT)
    assert torch.equal(block_circulant(w, "row"), block_circulant(w.transpose(0, 1), "column").T)


@pytest.mark.parametrize("shape", [*KERNELS, (2, 3, 40)], ids=str)
@pytest.mark.parametrize("numbers", [1, 100, 500, 10**6])
@pytest.mark.parametrize("with_base", [True, False])
def test_any_rows_and_columns_are_written_from_views(shape, numbers, with_base, monkeypatch):
    monkeypatch.setattr(import_module("circpeft.ops.circulant"), "BUFFER_NUMBERS", numbers)
    m, n, b = shape
    w, base = torch.randn(shape), torch.randn(m * b, n * b) if with_base else None
    dense = circulant(w, "row").transpose(1, 2).reshape(m * b, n * b) + (base if with_base else 0)
    for rows in {(0, b), (0, (b + 1) // 2), (b // 2, b), (b - 1, b)}:
        for columns in {(0, b), (0, (b + 1) // 2), (b // 3, b), (b - 1, b)}:
            part = dense.view(m, b, n, b)[:, slice(*rows), :, slice(*columns)].flatten(2).flatten(0, 1)
            out = torch.full_like(part, torch.nan)
            fill_block_circulant(out, base, w, slice(*rows), slice(*columns))
            assert torch.equal(out, part)


def test_batches_keep_their_dtype_and_start_with_the_kernel():
    c = torch.randn(2, 3, 5, dtype=torch.bfloat16)
    assert circulant(c).shape == (2, 3, 5, 5) and circulant(c).dtype == c.dtype
    assert torch.equal(circulant(c)[..., :, 0], c)
    assert torch.equal(circulant(c, "row")[..., 0, :], c)


def test_gradients():
    c = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(circulant, (c,))
