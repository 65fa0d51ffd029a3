"""C3A, compared with the formula of its paper and with its implementation in PEFT."""

import math

import pytest
import torch
from peft.tuners.c3a.utils import BlockCircularConvolution, get_circulant_fast

from circpeft import C3A, block_circulant


@pytest.mark.parametrize("layout", ["row", "column"])
def test_delta_weight_is_the_scaled_block_circulant_matrix(layout):
    adapter = C3A(12, 8, 4, alpha=3.0, layout=layout, init_weights="gaussian")
    assert adapter.kernel.shape == (2, 3, 4)
    torch.testing.assert_close(adapter.delta_weight(), 3.0 / 12 * block_circulant(adapter.kernel, layout))


def test_defaults_are_the_row_layout_the_greatest_block_size_and_no_change():
    adapter = C3A(768, 3072)
    assert (adapter.layout, adapter.block_size, adapter.alpha) == ("row", 768, 1.0)
    assert adapter.kernel.shape == (4, 1, 768) and adapter.kernel.count_nonzero() == 0


@pytest.mark.parametrize("start", [False, "xavier_uniform", "kaiming_uniform", "gaussian"])
def test_random_starts_have_the_spread_of_their_name(start):
    w = C3A(256, 1024, 8, init_weights=start).kernel.detach()
    bound = {"kaiming_uniform": math.sqrt(1 / 256), "gaussian": None}.get(start, math.sqrt(6 / (256 + 1024)))
    deviation = 1.0 if bound is None else bound / math.sqrt(3)
    assert abs(float(w.std()) / deviation - 1) < 0.02 and abs(float(w.mean())) < 0.02 * deviation
    assert bound is None or float(w.abs().max()) <= bound


@pytest.mark.parametrize("shape", [(1, 1, 12), (2, 3, 4), (3, 1, 5)], ids=str)
def test_forward_and_delta_weight_equal_those_of_peft(shape):
    m, n, b = shape
    adapter = C3A(n * b, m * b, b, init_weights="gaussian")
    x, d_in = torch.randn(2, 5, n * b), n * b
    torch.testing.assert_close(adapter(x), BlockCircularConvolution.apply(x, adapter.kernel.detach()) / d_in)
    torch.testing.assert_close(adapter.delta_weight(), get_circulant_fast(adapter.kernel) / d_in)


def test_the_input_gradient_is_right_while_that_of_peft_is_wrong(record_property, error):
    """Check our gradient against the dense product, and report PEFT's. The test also passes if PEFT fixes its own."""
    x = torch.randn(4, 768, dtype=torch.float64, requires_grad=True)
    w = torch.randn(1, 1, 768, dtype=torch.float64)
    g = torch.randn(4, 768, dtype=torch.float64)
    truth = g @ block_circulant(w, "row") / 768
    adapter = C3A(768, 768, init_weights="gaussian").double()
    adapter.kernel.data = w
    assert error(torch.autograd.grad(adapter(x), x, g)[0], truth) < 1e-12
    theirs = torch.autograd.grad(BlockCircularConvolution.apply(x, w) / 768, x, g)[0]
    peft_error = error(theirs, truth)
    record_property("relative error of PEFT's C3A gradient for the input", peft_error)
    if peft_error > 1e-6:  # PEFT returns C(w) g with reversed index, on average orthogonal to the truth
        as_printed = g @ block_circulant(w, "row").T / 768
        assert error(theirs, as_printed.flip(-1).roll(1, -1)) < 1e-12
        assert 1.2 < peft_error < 1.6


def test_error_names_a_misspelt_layout():
    with pytest.raises(ValueError, match="'rwo'; did you mean 'row'"):
        C3A(4, 4, layout="rwo")


def test_training_finds_a_circulant_target():
    target = block_circulant(torch.randn(1, 1, 16), "row") / 16
    adapter = C3A(16, 16)
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.1)
    for _ in range(200):
        x = torch.randn(32, 16)
        loss = (adapter(x) - x @ target.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(adapter.delta_weight(), target, atol=1e-3, rtol=0)
