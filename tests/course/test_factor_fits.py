"""Fits of products of factors: the method of notebook 03 never goes up, finds exact fits, and counts its freedom."""

import pytest
import torch

from circpeft.course import factor_fits
from circpeft.course.exercise_sets.cdvft_fits import damped_step


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_a_product_is_that_of_its_dense_factors(k):
    factors = torch.randn(k, 4, generator=generator(), dtype=torch.float64)
    index = torch.arange(4)
    expected = torch.eye(4, dtype=torch.float64)
    for j, vector in enumerate(factors):
        circulant = vector[(index[:, None] - index[None, :]) % 4]
        expected = (circulant if j % 2 else torch.diag(vector)) @ expected
    assert torch.allclose(factor_fits.product(factors), expected)


def test_steps_never_raise_the_error_and_beat_adam_at_equal_steps():
    target = torch.randn(5, 5, generator=generator(), dtype=torch.float64)
    start = factor_fits.random_factors(7, 5, generator=generator(1))
    errors = factor_fits.fit_by_steps(target, start, damped_step, 30)
    assert len(errors) == 31 and all(after <= before for before, after in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 0.5 * factor_fits.fit_by_adam(target, start, 30)[-1]


def test_a_step_uphill_is_never_taken():
    target = torch.randn(4, 4, generator=generator(), dtype=torch.float64)
    start = factor_fits.random_factors(3, 4, generator=generator(1))
    errors = factor_fits.fit_by_steps(target, start, lambda J, r, damping: -damped_step(J, r, damping), 5)
    assert errors == [errors[0]] * 6


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_target_that_is_a_product_is_fitted_exactly(dtype):
    factors = factor_fits.random_factors(2, 3, dtype=dtype, generator=generator(2))
    assert factor_fits.best_fit(factor_fits.product(factors), 2, starts=10, generator=generator()) < 1e-6


def test_the_svd_of_equal_freedom_keeps_the_largest_rank_that_fits():
    target = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    for freedom, left in ((4, [3.0, 2.0, 1.0]), (5, [2.0, 1.0]), (7, [2.0, 1.0]), (8, [1.0]), (9, [])):
        expected = float(torch.tensor(left).norm() / target.norm()) if left else 0.0
        assert factor_fits.svd_error(target, freedom) == pytest.approx(expected), freedom
