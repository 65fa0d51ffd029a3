"""The real leaves: the algebra against the dense matrix, block sizes with and without a good factor, and precision."""

from functools import partial

import pytest
import torch

from circpeft import block_circulant
from circpeft.ops import block_circular_kernel_grad, block_circular_matmul, diagonal_circulant_matmul
from circpeft.ops.backends import leaf, leaf_algebra, leaf_torch, rfft
from circpeft.ops.backends.leaf_algebra import coarse_size

pytestmark = pytest.mark.usefixtures("one_thread")
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
# (m, n, b, R): all divisors that are even, also those that the rule does not choose
GRIDS = [
    (1, 1, 2, 2),
    (2, 1, 6, 2),
    (1, 1, 8, 4),
    (1, 2, 8, 8),
    (2, 3, 12, 4),
    (3, 2, 12, 6),
    (3, 2, 12, 12),
    (1, 1, 18, 6),
    (2, 2, 64, 8),
    (1, 4, 96, 16),
    (2, 1, 96, 2),
    (2, 2, 48, 48),
    (1, 1, 768, 24),
    (9, 7, 4, 4),
]


@both_layouts
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_the_leaves_are_the_dense_matrix(grid, tokens, layout):
    m, n, b, r = grid
    x, g = torch.randn(tokens, n, b, dtype=torch.float64), torch.randn(tokens, m, b, dtype=torch.float64)
    w = torch.randn(m, n, b, dtype=torch.float64, requires_grad=True)
    dense = x.flatten(1) @ block_circulant(w, layout).T
    dw = torch.autograd.grad(dense, w, g.flatten(1))[0]
    matrices = leaf_algebra.leaf_matrices(w.detach(), r, layout)
    assert matrices.shape == (r // 2, 2 * n * b // r, 2 * m * b // r)
    x_hat, g_hat = leaf_algebra.transform(x, r), leaf_algebra.transform(g, r)
    torch.testing.assert_close(x_hat.norm(), x.norm())
    torch.testing.assert_close(leaf_algebra.inverse(x_hat, n), x.flatten(1))
    torch.testing.assert_close(leaf_algebra.inverse(leaf_algebra.product(x_hat, matrices), m), dense.detach())
    dx = leaf_algebra.inverse(leaf_algebra.product(g_hat, matrices.mT), n)
    torch.testing.assert_close(dx, g.flatten(1) @ block_circulant(w.detach(), layout))
    of_leaves = torch.bmm(leaf_algebra.pairs(x_hat).mT, leaf_algebra.pairs(g_hat))
    torch.testing.assert_close(leaf_algebra.kernel_from_leaves(of_leaves, m, n, layout), dw)


def test_sizes_are_even_divisors_with_wide_reads():
    for b in range(1, 5000):
        r = coarse_size(b)
        if r is None:
            assert not any(b % k == 0 and (b == k or b // k % 4 == 0) for k in range(8, 65, 2))
        else:
            assert r % 2 == 0 and 8 <= r <= 64 and b % r == 0 and (b == r or b // r % 4 == 0)
    assert [coarse_size(b) for b in (7, 8, 16, 32, 66, 96, 1024, 3072, 11008)] == [
        None, 8, 16, 32, None, 24, 64, 64, 64,
    ]  # fmt: skip


# Odd, prime, even without a good factor; with one as R = b, as e > 1, and as a matrix of leaves with an odd side.
SIZES = [(2, 1, 5), (1, 2, 13), (2, 2, 6), (1, 2, 8), (2, 1, 10), (1, 1, 32), (3, 1, 14)]


@both_layouts
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("batch", [(), (2, 1)], ids=str)
def test_first_and_second_derivatives(shape, batch, layout):
    m, n, b = shape
    x, w, g = (
        torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((*batch, n * b), shape, (*batch, m * b))
    )
    product = partial(block_circular_matmul, layout=layout, backend="leaf")
    torch.testing.assert_close(product(x, w), x @ block_circulant(w, layout).T)
    assert torch.autograd.gradcheck(product, (x, w))
    assert torch.autograd.gradgradcheck(product, (x, w), g)
    assert torch.autograd.gradcheck(partial(block_circular_kernel_grad, b=b, layout=layout, backend="leaf"), (g, x))


@both_layouts
def test_derivatives_with_several_numbers_per_leaf_and_incomplete_blocks(layout, monkeypatch):
    monkeypatch.setattr(leaf_torch, "leaf_size", lambda b: 4)
    assert coarse_size(12) == 12
    sizes = (2, 23), (2, 2, 12), (23,), (21,), (2, 21)
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    product = partial(diagonal_circulant_matmul, scale=-0.7, layout=layout, backend="leaf")
    torch.testing.assert_close(product(*inputs), diagonal_circulant_matmul(*inputs, -0.7, layout, "reference"))
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs, atol=1e-4)


@both_layouts
@pytest.mark.parametrize("b", [1, 7, 66, 127])
def test_sizes_without_a_good_factor_are_left_to_rfft(b, layout):
    x, g, w = torch.randn(3, 2 * b), torch.randn(3, b), torch.randn(1, 2, b)
    assert coarse_size(b) is None
    assert torch.equal(leaf.matmul(x, w, layout), rfft.matmul(x, w, layout))
    assert torch.equal(leaf.kernel_grad(g, x, b, layout), rfft.kernel_grad(g, x, b, layout))
    for name in ("matmul_flops", "kernel_grad_flops", "diagonal_backward_flops"):
        assert getattr(leaf, name)(3, 1, 2, b) == getattr(rfft, name)(3, 1, 2, b)


def test_tables_that_are_first_needed_under_a_transform_are_plain_tensors():
    leaf_algebra.tables.cache_clear()
    x, w = torch.randn(4, 32, dtype=torch.float64), torch.randn(1, 1, 32, dtype=torch.float64)
    product = partial(block_circular_matmul, layout="row", backend="leaf")
    torch.func.vmap(torch.func.grad(lambda w, x: product(x, w).sum()), (None, 0))(w, x)
    torch.func.jvp(product, (x, w), (x, w))
    torch.testing.assert_close(product(x, w), block_circular_matmul(x, w, "row", "rfft"))


@both_layouts
def test_in_chunks_equals_at_once(layout, monkeypatch):
    tensors = [torch.randn(size, dtype=torch.float64) for size in ((100, 93), (2, 3, 32), (93,), (60,), (100, 60))]
    x, w, first, last, base = tensors
    outputs = []
    for elements in (10**6, 1):
        monkeypatch.setitem(rfft.CHUNK_ELEMENTS, "cpu", elements)
        assert rfft.tokens_per_chunk(x, 96) == max(16, elements // 96)
        y, dx = torch.empty_like(base), torch.empty_like(x)
        leaf_torch.diagonal_matmul(x, w, layout, first, last, base, y, 0.5)
        gradients = leaf_torch.diagonal_matmul_backward(base, x, w, layout, first, last, dx, 0.5, False)
        outputs.append((y, dx, *gradients))
    torch.testing.assert_close(*outputs)


def to_tf32(values):
    """Round to the ten bits of mantissa that a GPU's TF32 products read."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


# How intermediate results are rounded, and the promised error.
ROUNDED = {
    "tf32": (to_tf32, 1e-3),
    "float16": (lambda values: values.half().float(), 1e-3),
    "bfloat16": (lambda values: values.bfloat16().float(), 5e-3),
}


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("precision", ROUNDED)
@pytest.mark.parametrize("grid", [(8, 8, 128), (2, 3, 384), (1, 1, 1024), (12, 12, 64), (16, 16, 48)], ids=str)
def test_rounded_spectra_and_matrices_are_exact_enough(grid, precision, outliers, error, monkeypatch):
    """Every intermediate result is rounded once, and the tables to TF32, as by the kernels on a GPU."""
    (m, n, b), (rounded, limit), tables = grid, ROUNDED[precision], leaf_algebra.tables
    monkeypatch.setattr(leaf_algebra, "tables", lambda *settings: [to_tf32(t) for t in tables(*settings)])
    x, g, w = rounded(torch.randn(128, n * b)), rounded(torch.randn(128, m * b)), torch.randn(grid) / b
    if outliers:
        x[:, 7] *= 50
        x[:, n * b - 30] *= 30
        x = rounded(x)
    r = coarse_size(b)
    matrices = rounded(leaf_algebra.leaf_matrices(to_tf32(w), r, "row"))
    x_hat, g_hat = (rounded(leaf_algebra.transform(t.unflatten(1, (-1, b)), r)) for t in (x, g))
    y = rounded(leaf_algebra.inverse(rounded(leaf_algebra.product(x_hat, matrices)), m))
    dx = rounded(leaf_algebra.inverse(rounded(leaf_algebra.product(g_hat, matrices.mT)), n))
    of_leaves = torch.bmm(leaf_algebra.pairs(x_hat).mT, leaf_algebra.pairs(g_hat))
    dw = leaf_algebra.kernel_from_leaves(to_tf32(of_leaves), m, n, "row")
    exact = [t.double().requires_grad_() for t in (x, w)]
    truth = exact[0] @ block_circulant(exact[1], "row").T
    true_dx, true_dw = torch.autograd.grad(truth, exact, g.double())
    for value, true in ((y, truth), (dx, true_dx), (dw, true_dw)):
        assert error(value, true) <= limit
