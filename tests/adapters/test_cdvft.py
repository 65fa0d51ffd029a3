"""CDVFT, compared with the product of dense factors in its paper, including padding."""

import math

import numpy as np
import pytest
import torch

from circpeft import CDVFT, circulant

pytestmark = pytest.mark.usefixtures("one_thread")


def dense_product(adapter):
    """Return ΔW as the product alpha * A ... C A of padded dense factors, kernels as first columns (Eq. 2 to 4, 12)."""
    b, d_in, d_out = adapter.block_size, adapter.d_in, adapter.d_out
    delta = torch.diag(adapter.diagonals[0])
    for kernel, diagonal in zip(adapter.kernels, adapter.diagonals[1:], strict=True):
        m, n, _ = kernel.shape
        rows = [torch.cat([circulant(kernel[i, j]) for j in range(n)], dim=1) for i in range(m)]
        padded = torch.zeros(n * b, d_in, dtype=delta.dtype)
        padded[: delta.shape[0]] = delta
        delta = torch.diag(diagonal) @ (torch.cat(rows) @ padded)[:d_out]
    return adapter.alpha * delta


@pytest.mark.parametrize(
    "sizes", [(6, 6, 6), (6, 6, 4), (12, 8, 4), (7, 5, 3), (5, 9, 4), (3, 10, 10), (4, 11, 1)], ids=str
)
@pytest.mark.parametrize("factors", [3, 5, 7])
def test_delta_weight_is_the_product_of_dense_factors(sizes, factors):
    d_in, d_out, b = sizes
    adapter = CDVFT(d_in, d_out, b, num_factors=factors, alpha=2.5, init_weights="gaussian").double()
    torch.testing.assert_close(adapter.delta_weight(), dense_product(adapter))


def test_one_factor_is_a_diagonal():
    adapter = CDVFT(5, 5, num_factors=1, alpha=2.0, init_weights="gaussian")
    assert adapter.kernels == [] and len(adapter.diagonals) == 1
    assert torch.equal(adapter.delta_weight(), 2.0 * torch.diag(adapter.diagonals[0]))


def test_shapes_of_the_factors():
    adapter = CDVFT(7, 10, 4, num_factors=5)
    assert [tuple(p.shape) for p in adapter.diagonals] == [(7,), (10,), (10,)]
    assert [tuple(p.shape) for p in adapter.kernels] == [(3, 2, 4), (3, 3, 4)]
    assert list(adapter.state_dict()) == ["diagonal_0", "diagonal_1", "diagonal_2", "kernel_0", "kernel_1"]
    assert adapter.diagonals[1] is adapter.diagonal_1 and adapter.kernels[1] is adapter.kernel_1


def test_default_block_size_is_the_smaller_dimension():
    assert CDVFT(768, 3072).block_size == CDVFT(3072, 768).block_size == 768


def test_zero_start_has_exactly_one_zero_factor():
    adapter = CDVFT(6, 6, num_factors=7)
    zero = [name for name, p in adapter.named_parameters() if p.count_nonzero() == 0]
    assert zero == ["kernel_0"]
    for kernel in adapter.kernels[1:]:
        assert torch.equal(circulant(kernel[0, 0]), torch.eye(6))


def test_every_factor_trains_after_the_first_step():
    adapter = CDVFT(6, 6, num_factors=5)
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    x, target = torch.randn(8, 6), torch.randn(8, 6)
    for _ in range(2):
        optimizer.zero_grad()
        (adapter(x) - target).square().sum().backward()
        optimizer.step()
    assert all(p.grad.count_nonzero() == p.numel() for p in adapter.parameters())


@pytest.mark.parametrize("factors", [3, 5])
def test_gaussian_start_keeps_the_norm_of_a_vector(factors):
    adapter = CDVFT(512, 512, num_factors=factors, init_weights="gaussian")
    y = adapter(torch.randn(64, 512)).detach()
    assert 0.5 < float(y.square().mean()) < 2.0
    assert math.isclose(float(adapter.kernels[0].detach().std()), 512**-0.5, rel_tol=0.15)


@pytest.mark.parametrize("factors", [0, 2, 4, -1, 3.0, True, "3"])
def test_error_names_a_number_of_factors_that_is_not_odd(factors):
    with pytest.raises(ValueError, match="num_factors must be odd.*got"):
        CDVFT(4, 4, num_factors=factors)


def test_a_single_diagonal_needs_a_square_layer():
    with pytest.raises(ValueError, match="d_in == d_out, got 4 and 6; use 3"):
        CDVFT(4, 6, num_factors=1)


def test_functional_call():
    """Run with plain tensors instead of parameters, as torch.func does."""
    adapter = CDVFT(6, 4, block_size=4, init_weights=False)
    x, doubled = torch.randn(3, 6), {name: 2 * p.detach() for name, p in adapter.named_parameters()}
    torch.testing.assert_close(torch.func.functional_call(adapter, doubled, (x,)), 8 * adapter(x))


def test_an_integer_of_numpy_is_a_number_of_factors():
    adapter = CDVFT(4, 4, np.int64(2), num_factors=np.int64(5))
    assert type(adapter.num_factors) is int and len(adapter.kernels) == 2
