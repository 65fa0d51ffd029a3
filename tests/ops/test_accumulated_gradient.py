"""Fused backends on request add to the output and to the gradient of the input, instead of overwriting them."""

from itertools import product

import pytest
import torch

from circpeft.ops.backends import BACKENDS, get_fused_backend

FUSED = [name for name in BACKENDS if get_fused_backend(name)]
# (m, n, b, inputs short of whole blocks, outputs short)
GRIDS = [(2, 3, 16, 0, 0), (1, 1, 64, 3, 2), (3, 1, 7, 2, 0), (1, 2, 13, 0, 1), (2, 2, 48, 5, 0)]


@pytest.mark.parametrize("backend", FUSED)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("layout", ["column", "row"])
def test_accumulating_equals_adding_afterwards(backend, grid, layout):
    (m, n, b, short_in, short_out), functions = grid, get_fused_backend(backend)
    d_in, d_out = n * b - short_in, m * b - short_out
    x, g, dx, base = (torch.randn(5, d, dtype=torch.float64) for d in (d_in, d_out, d_in, d_out))
    w = torch.randn(m, n, b, dtype=torch.float64)
    for with_in, with_out in product([False, True], repeat=2):
        first, last = (
            torch.randn(d, dtype=w.dtype) if given else None for d, given in ((d_in, with_in), (d_out, with_out))
        )
        arguments = x, w, layout, first, last
        y, alone, accumulated = torch.empty_like(base), torch.empty_like(dx), dx.clone()
        functions.diagonal_matmul(*arguments, base, y, 0.5)
        in_place = base.clone()
        functions.diagonal_matmul(*arguments, in_place, in_place, 0.5)
        torch.testing.assert_close(in_place, y)
        gradients = functions.diagonal_matmul_backward(g, *arguments, alone, 0.5, False)
        again = functions.diagonal_matmul_backward(g, *arguments, accumulated, 0.5, True)
        torch.testing.assert_close(accumulated, dx + alone)
        torch.testing.assert_close(again, gradients)


@pytest.mark.parametrize("backend", FUSED)
def test_a_sum_in_half_precision_is_rounded_once(backend):
    x, g = torch.ones(2, 4, 32, dtype=torch.bfloat16)
    w, dx = torch.zeros(1, 1, 32), torch.full((4, 32), 258.0, dtype=torch.bfloat16)
    w[..., 0] = 0.9995  # which rounds to 1; 259 lies halfway, and would round to 260
    get_fused_backend(backend).diagonal_matmul_backward(g, x, w, "row", None, None, dx, 1.0, True)
    assert dx.dtype == torch.bfloat16 and torch.equal(dx, torch.full_like(dx, 258.0))
