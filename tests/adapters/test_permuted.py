"""Adapters of permuted features: they are the adapter between two permutations, exactly."""

import copy

import pytest
import torch
from torch import nn

from circpeft import C3A, CDVFT
from circpeft.adapters.permuted import PermutedC3A, PermutedCDVFT, permute_features

ADAPTERS = [
    lambda: C3A(12, 8, 4, alpha=3.0, init_weights="gaussian"),
    lambda: C3A(8, 8, layout="column", init_weights="gaussian"),
    lambda: CDVFT(12, 8, 8, init_weights="gaussian"),
    lambda: CDVFT(7, 5, 3, num_factors=5, alpha=2.0, init_weights="gaussian"),
    lambda: CDVFT(6, 6, num_factors=1, init_weights="gaussian"),
]
adapters = pytest.mark.parametrize("make", ADAPTERS)


def pair(make):
    """Return an adapter in float64, the same one permuted, and the two permutation matrices."""
    torch.manual_seed(0)
    natural = make().double()
    orders = [torch.randperm(d) for d in (natural.d_in, natural.d_out)]
    permuted = permute_features(copy.deepcopy(natural), *orders)
    return natural, permuted, *(torch.eye(len(order), dtype=torch.float64)[order] for order in orders)


@adapters
def test_delta_weight_is_the_adapters_between_two_permutations(make):
    natural, permuted, p_in, p_out = pair(make)
    with torch.no_grad():
        assert torch.equal(permuted.delta_weight(), p_out.T @ natural.delta_weight() @ p_in)
        assert not torch.allclose(permuted.delta_weight(), natural.delta_weight())
    torch.testing.assert_close(permuted.delta_weight(), permuted.delta_weight().detach())  # recorded and not


@adapters
def test_forward_is_the_product_with_delta_weight(make):
    _, permuted, _, _ = pair(make)
    x = torch.randn(2, 3, permuted.d_in, dtype=torch.float64)
    base = torch.randn(2, 3, permuted.d_out, dtype=torch.float64)
    delta = x @ permuted.delta_weight().T
    torch.testing.assert_close(permuted(x), delta)
    torch.testing.assert_close(permuted(x, base), base + delta)
    weight, bias = torch.randn(permuted.d_out, permuted.d_in).double(), torch.randn(permuted.d_out).double()
    torch.testing.assert_close(permuted.adapted_forward(x, weight, bias), x @ weight.T + bias + delta)


@adapters
def test_it_is_the_adapter_of_a_layer_whose_neurons_are_permuted(make):
    """The frozen layer with permuted rows and columns, between a permutation and its inverse, adapted as usual."""
    natural, permuted, p_in, p_out = pair(make)
    weight, x = torch.randn(natural.d_out, natural.d_in).double(), torch.randn(5, natural.d_in).double()
    shuffled = p_out @ weight @ p_in.T
    of_shuffled = ((x @ p_in.T) @ (shuffled + natural.delta_weight()).T) @ p_out
    torch.testing.assert_close(permuted.adapted_forward(x, weight, None), of_shuffled)


@adapters
def test_gradients_pass_gradcheck(make):
    _, permuted, _, _ = pair(make)
    x = torch.randn(2, permuted.d_in, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: permuted(x), (x, *permuted.parameters()))


def test_the_identity_changes_no_bit():
    natural = C3A(8, 12, 4, init_weights="gaussian")
    permuted = permute_features(copy.deepcopy(natural), torch.arange(8), torch.arange(12))
    x = torch.randn(3, 8)
    assert torch.equal(permuted(x), natural(x)) and torch.equal(permuted.delta_weight(), natural.delta_weight())


def test_the_parameters_keep_their_names_and_the_orders_are_not_saved():
    natural = CDVFT(6, 4)
    permuted = permute_features(CDVFT(6, 4), torch.randperm(6), torch.randperm(4))
    assert list(permuted.state_dict()) == list(natural.state_dict())
    assert type(permuted) is PermutedCDVFT and type(permute_features(C3A(2, 2), *[torch.arange(2)] * 2)) is PermutedC3A


def test_wrong_orders_and_modules_are_refused():
    with pytest.raises(ValueError, match="input_order must be a permutation of 0 to 3, got"):
        permute_features(C3A(4, 2), torch.tensor([0, 1, 1, 3]), torch.arange(2))
    with pytest.raises(ValueError, match="output_order must be a permutation of 0 to 1, got"):
        permute_features(C3A(4, 2), torch.arange(4), torch.arange(3))
    with pytest.raises(TypeError, match="expected a C3A or a CDVFT with features in natural order, got Linear"):
        permute_features(nn.Linear(2, 2), torch.arange(2), torch.arange(2))
    permuted = permute_features(C3A(2, 2), torch.arange(2), torch.arange(2))
    with pytest.raises(TypeError, match="got PermutedC3A"):
        permute_features(permuted, torch.arange(2), torch.arange(2))
    with pytest.raises(ValueError, match="cannot be combined"):
        permuted.set_weighted_sum([permuted], [1.0])
