"""Best fits of a matrix: closed forms are optimal, known matrices are fitted exactly, and sweeps never lose."""

import pytest
import torch

from circpeft import block_circulant, fits, ops

SHAPES = [(6, 6, 6), (8, 12, 4), (12, 8, 2), (5, 10, 1)]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("d_out", "d_in", "b"), SHAPES)
@pytest.mark.parametrize("layout", ["row", "column"])
def test_the_block_circulant_fit_is_the_minimum_of_the_squared_error(d_out, d_in, b, layout):
    matrix = randn(d_out, d_in)
    kernel = fits.block_circulant_fit(matrix, b, layout).requires_grad_()
    loss = (matrix - block_circulant(kernel, layout)).square().sum()
    (gradient,) = torch.autograd.grad(loss, kernel)
    assert gradient.abs().max() < 1e-12  # convex, so a gradient of zero is the minimum
    for seed in range(5):
        other = kernel.detach() + 0.1 * randn(*kernel.shape, seed=seed + 1)
        assert (matrix - block_circulant(other, layout)).square().sum() > loss.detach()


def test_both_layouts_give_the_same_matrix():
    matrix = randn(8, 12)
    row, column = (block_circulant(fits.block_circulant_fit(matrix, 4, layout), layout) for layout in ("row", "column"))
    torch.testing.assert_close(row, column)


def test_a_block_circulant_matrix_is_fitted_exactly():
    kernel = randn(2, 3, 4)
    torch.testing.assert_close(fits.block_circulant_fit(block_circulant(kernel), 4), kernel)
    torch.testing.assert_close(fits.block_circulant_fit(block_circulant(kernel, "row"), 4, "row"), kernel)


@pytest.mark.parametrize("b", [4, 16])
def test_of_a_random_matrix_the_block_circulant_fit_represents_one_in_b(b):
    shares = []
    for seed in range(200):
        matrix = randn(16, 32, seed=seed)
        shares.append(fits.share(matrix, block_circulant(fits.block_circulant_fit(matrix, b))))
    mean, error = torch.tensor(shares).mean(), torch.tensor(shares).std() / 200**0.5
    assert abs(mean - 1 / b) < 4 * error and error < 0.05 / b


def test_the_low_rank_share_is_that_of_the_truncated_svd():
    matrix = randn(8, 12)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    for rank in range(9):
        truncated = u[:, :rank] * s[:rank] @ v[:rank]
        assert fits.low_rank_share(matrix, rank * 20) == pytest.approx(fits.share(matrix, truncated), abs=1e-12)
    between = (fits.low_rank_share(matrix, 40) + fits.low_rank_share(matrix, 60)) / 2
    assert fits.low_rank_share(matrix, 50) == pytest.approx(between)
    assert fits.low_rank_share(randn(8, 2) @ randn(2, 12), 40) == pytest.approx(1)
    assert fits.low_rank_share(matrix, 1000) == fits.low_rank_share(matrix, float("inf")) == pytest.approx(1)


@pytest.mark.parametrize(("d_out", "d_in", "b"), [(12, 12, 12), (8, 24, 8), (16, 8, 4)])
def test_sweeps_never_lose_and_beat_both_closed_forms(d_out, d_in, b):
    matrix = randn(d_out, d_in)
    fit = fits.diagonal_circulant_fit(matrix, b, sweeps=300, tolerance=0)
    for name, shares in fit.shares.items():
        assert all(later >= before - 1e-12 for before, later in zip(shares, shares[1:], strict=False)), name
    reached = max(shares[-1] for shares in fit.shares.values())
    assert fits.share(matrix, fit.matrix) == pytest.approx(reached, abs=1e-10)
    circulant = block_circulant(fits.block_circulant_fit(matrix, b))
    assert fit.shares["ones"][-1] >= fits.share(matrix, circulant)
    assert fit.shares["rank one"][-1] >= fits.low_rank_share(matrix, d_out + d_in) - 1e-12
    for name, shares in fit.shares.items():
        assert shares[-1] - shares[-2] < 1e-4, f"{name} has not converged"


def test_one_sweep_takes_the_best_of_each_factor_given_the_others():
    matrix, a1, a3 = randn(8, 12), randn(12, seed=1), randn(8, seed=2)
    a1_new, kernel, a3_new, _ = fits._sweep(matrix, a1, a3, 4)
    a1, a3 = fits._unit(a1), fits._unit(a3)
    for last, factors in enumerate([(a1, kernel, a3), (a1, kernel, a3_new), (a1_new, kernel, a3_new)]):
        factor = factors[(1, 2, 0)[last]].requires_grad_()
        product = factors[2][:, None] * block_circulant(factors[1]) * factors[0]
        (gradient,) = torch.autograd.grad((matrix - product).square().sum(), factor)
        assert gradient.abs().max() < 1e-9
        factor.requires_grad_(False)


def test_an_exact_product_of_positive_diagonals_is_found():
    a1, a3, kernel = randn(16).abs() + 0.2, randn(16, seed=1).abs() + 0.2, randn(1, 1, 16, seed=2)
    target = a3[:, None] * block_circulant(kernel) * a1
    fit = fits.diagonal_circulant_fit(target, sweeps=500, tolerance=1e-9)
    torch.testing.assert_close(fit.matrix, target, rtol=0, atol=1e-3 * float(target.norm()))


def test_rows_of_zeros_make_no_entry_infinite():
    matrix = randn(6, 6)
    matrix[2], matrix[:, 4] = 0, 0
    fit = fits.diagonal_circulant_fit(matrix, sweeps=20)
    assert fit.matrix.isfinite().all() and fit.matrix[2].abs().max() == 0 and fit.matrix[:, 4].abs().max() == 0


def test_the_kernel_of_float32_is_close_to_that_of_float64():
    matrix = randn(32, 32) * 1e-4  # the size of a ΔW: squares must not underflow
    fine, coarse = fits.diagonal_circulant_fit(matrix), fits.diagonal_circulant_fit(matrix.float())
    assert fits.share(matrix, coarse.matrix.double()) == pytest.approx(fits.share(matrix, fine.matrix), abs=5e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fits.share(torch.zeros(2, 2), torch.ones(2, 2)), "an entry that is not zero"),
        (lambda: fits.share(torch.ones(2, 2), torch.ones(2, 3)), r"a fit of shape \(2, 2\), got \(2, 3\)"),
        (lambda: fits.low_rank_share(torch.ones(2, 2), -1), "parameters must be at least 0, got -1"),
        (lambda: fits.block_circulant_fit(torch.ones(4, 6), 4), "block_size=4 does not divide both"),
        (lambda: fits.block_circulant_fit(torch.ones(4)), r"expected a matrix, got shape \(4,\)"),
        (lambda: fits.block_circulant_fit(torch.ones(4, 4), layout="rows"), "row"),
        (lambda: fits.diagonal_circulant_fit(torch.ones(4, 4), starts=("one",)), "unknown start 'one'; did you mean"),
        (lambda: fits.diagonal_circulant_fit(torch.ones(4, 4), starts=(), random_starts=0), "needs a start"),
        (lambda: fits.diagonal_circulant_fit(torch.ones(4, 4), sweeps=0), "sweeps must be at least 1, got 0"),
    ],
)
def test_errors_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("d_out", "d_in", "b"), SHAPES)
def test_the_sums_along_diagonals_are_the_operators_gradient(d_out, d_in, b):
    g, x = randn(d_out), randn(d_in, seed=1)
    expected = ops.block_circular_kernel_grad(g, x, b)
    torch.testing.assert_close(fits._diagonal_sums(torch.outer(g, x), b), expected)
    torch.testing.assert_close(fits._outer_sums(g, x, b), expected)
