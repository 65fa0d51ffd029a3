"""FLOPs of the fused backends: the formulas equal a count of the operations, and torch counts by the formulas."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from circpeft import available_backends
from circpeft.ops import diagonal_circulant_matmul
from circpeft.ops.backends import get_fused_backend
from circpeft.profiling import FlopCounter

pytestmark = pytest.mark.usefixtures("one_thread")
FUSED = [name for name in available_backends("cpu") if get_fused_backend(name) is not None]
every_fused_backend = pytest.mark.parametrize("backend", FUSED)
# (tokens, m, n, b): few blocks and many, one that "leaf" leaves to "rfft", one with several numbers per leaf
GRIDS = [(5, 1, 2, 8), (5, 2, 3, 16), (3, 2, 1, 7), (3, 1, 1, 128)]
# Diagonals of the input and the output, and the gradient of the input
PARTS = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=str)


def test_several_backends_are_fused():
    assert {"rfft", "leaf", "dense"} <= set(FUSED)


def counted_backward(backend, grid, first, last, with_dx):
    t, m, n, b = grid
    x, g, w = torch.randn(t, n * b), torch.randn(t, m * b), torch.randn(m, n, b)
    dx = torch.empty_like(x) if with_dx else None
    with FlopCounter() as counter:
        get_fused_backend(backend).diagonal_matmul_backward(g, x, w, "row", first, last, dx, 1.0, False)
    return counter.total


@every_fused_backend
@every_grid
@pytest.mark.parametrize("with_dx", [True, False])
def test_the_backward_pass_without_diagonals_has_the_flops_of_the_formula(backend, grid, with_dx):
    formula = get_fused_backend(backend).diagonal_backward_flops(*grid, with_dx=with_dx)
    # Transforms whose size is not a power of two have fractional FLOPs.
    assert abs(counted_backward(backend, grid, None, None, with_dx) - formula) <= 1


@pytest.mark.parametrize("backend", ["rfft", "leaf"])
@every_grid
@pytest.mark.parametrize("with_dx", [True, False])
@pytest.mark.parametrize(("with_in", "with_out"), [(True, False), (False, True), (True, True)])
def test_a_diagonal_adds_its_own_products_to_the_formula(backend, grid, with_dx, with_in, with_out):
    t, m, n, b = grid
    first, last = torch.randn(n * b) if with_in else None, torch.randn(m * b) if with_out else None
    own = ((3 + with_dx) * t + 1) * n * b * with_in + (3 * t + 1) * m * b * with_out
    formula = get_fused_backend(backend).diagonal_backward_flops(*grid, with_dx, with_in, with_out)
    assert abs(counted_backward(backend, grid, first, last, with_dx) - own - formula) <= 1


@every_grid
@pytest.mark.parametrize(("with_in", "with_out", "with_dx"), PARTS, ids=str)
def test_dense_multiplies_the_tokens_as_often_as_its_formula_says(grid, with_in, with_out, with_dx):
    t, m, n, b = grid
    x, g, w = torch.randn(t, n * b), torch.randn(t, m * b), torch.randn(m, n, b)
    first, last = torch.randn(n * b) if with_in else None, torch.randn(m * b) if with_out else None
    dx = torch.empty_like(x) if with_dx else None
    dense = get_fused_backend("dense")
    with FlopCounterMode(display=False) as counter:  # counts matrix products only
        dense.diagonal_matmul_backward(g, x, w, "row", first, last, dx, 1.0, False)
    entries = m * b * n * b
    sums_along_diagonals, weighted_sums = entries, 4 * entries if with_in and with_out else 0
    formula = dense.diagonal_backward_flops(*grid, with_dx, with_in, with_out)
    assert counter.get_total_flops() == formula - sums_along_diagonals + weighted_sums


@every_fused_backend
@pytest.mark.parametrize(("with_in", "with_out", "needs_dx"), PARTS, ids=str)
def test_torch_counts_the_formulas_of_the_backend(backend, with_in, with_out, needs_dx):
    t, m, n, b = 6, 2, 3, 16
    x, w = torch.randn(2, 3, n * b, requires_grad=bool(needs_dx)), torch.randn(m, n, b, requires_grad=True)
    first, last = torch.randn(n * b) if with_in else None, torch.randn(m * b) if with_out else None
    with FlopCounterMode(display=False) as counter:
        diagonal_circulant_matmul(x, w, first, last, None, 0.5, "row", backend).sum().backward()
    counts = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    module = get_fused_backend(backend)
    assert counts["circpeft.diagonal_matmul"] == module.matmul_flops(t, m, n, b)
    backward = module.diagonal_backward_flops(t, m, n, b, needs_dx, with_in, with_out)
    assert counts["circpeft.diagonal_matmul_backward"] == backward
    assert counter.get_total_flops() == sum(counts.values())
