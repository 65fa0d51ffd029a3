"""The weighted sum of adapters as one adapter: exact where possible, an error elsewhere."""

import copy

import pytest
import torch

from circpeft import C3A, CDVFT


def total(adapters, weights):
    return sum(w * a.delta_weight() for a, w in zip(adapters, weights, strict=True))


def test_any_adapter_can_be_scaled(adapter_case, error):
    adapter, target = adapter_case.build(), adapter_case.build(alpha=-0.5)
    target.set_weighted_sum([adapter], [0.3])
    assert error(target.delta_weight(), 0.3 * adapter.delta_weight()) < 1e-5 and adapter.delta_weight().norm() > 0.01


@pytest.mark.parametrize(("d_in", "d_out", "b"), [(6, 6, 6), (12, 8, 4), (7, 14, 7), (5, 10, 1)])
def test_c3a_of_any_alpha_and_layout_can_be_summed(d_in, d_out, b, error):
    settings = [{"alpha": 2.0}, {"alpha": -0.5, "layout": "column"}, {}]
    adapters = [C3A(d_in, d_out, b, init_weights="gaussian", **options) for options in settings]
    for layout in ("row", "column"):
        target = C3A(d_in, d_out, b, alpha=3.0, layout=layout)
        target.set_weighted_sum(adapters, [0.3, -2.0, 1.0])
        assert error(target.delta_weight(), total(adapters, [0.3, -2.0, 1.0])) < 1e-6


FACTORS = [(1, "diagonal_0"), (3, "diagonal_0"), (3, "kernel_0"), (5, "kernel_1"), (5, "diagonal_2")]


@pytest.mark.parametrize(("factors", "name"), FACTORS)
def test_cdvft_can_be_summed_if_one_factor_differs(factors, name, error):
    first = CDVFT(8, 8, 3, num_factors=factors, alpha=2.0, init_weights=False)
    second = copy.deepcopy(first)
    second.alpha = -1.0
    with torch.no_grad():
        getattr(second, name).normal_()
    target = CDVFT(8, 8, 3, num_factors=factors)
    target.set_weighted_sum([first, second], [0.3, -2.0])
    assert error(target.delta_weight(), total([first, second], [0.3, -2.0])) < 1e-5


@pytest.mark.parametrize("cls", [C3A, CDVFT])
def test_equal_block_sizes_that_are_different_objects_are_one(cls, error):
    first, second = (cls(300, 300, int("300"), init_weights="gaussian") for _ in range(2))
    if cls is CDVFT:
        second.load_state_dict(first.state_dict() | {"kernel_0": second.kernel_0.detach()})
    target = cls(300, 300, int("300"))
    assert first.block_size is not target.block_size  # Python keeps one object only for small numbers
    target.set_weighted_sum([first, second], [0.3, -2.0])
    assert error(target.delta_weight(), total([first, second], [0.3, -2.0])) < 1e-5


def test_errors_say_what_to_do_and_nothing_changes():
    a, b = (CDVFT(6, 6, 3, init_weights=False) for _ in range(2))
    target = CDVFT(6, 6, 3, init_weights=False)
    before = copy.deepcopy(target.state_dict())
    with pytest.raises(ValueError, match="differ in diagonal_0, diagonal_1, kernel_0.*set_adapter"):
        target.set_weighted_sum([a, b], [1.0, 1.0])
    with pytest.raises(ValueError, match="one block_size, they have 3, 2"):
        target.set_weighted_sum([a, CDVFT(6, 6, 2)], [1.0, 1.0])
    with pytest.raises(ValueError, match="one num_factors, they have 3, 5"):
        target.set_weighted_sum([a, CDVFT(6, 6, 3, num_factors=5)], [1.0, 1.0])
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    with pytest.raises(ValueError, match="one block_size, they have 3, 6"):
        C3A(6, 6, 3).set_weighted_sum([C3A(6, 6, 3), C3A(6, 6, 6)], [1.0, 1.0])
    with pytest.raises(ValueError, match="alpha=0"):
        C3A(6, 6, 3, alpha=0.0).set_weighted_sum([C3A(6, 6, 3)], [1.0])
