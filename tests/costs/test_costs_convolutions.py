"""Costs of convolutions: counted where a target names them, with the FLOPs of a real network."""

import pytest
import torch
from torch import nn

from circpeft import C3AConfig, CDVFTConfig, costs, inject
from circpeft.profiling import count_flops

POSITIONS = 2 * 6 * 6


def network():
    convolutions = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 6, (1, 3), padding=(0, 1), groups=2)
    return nn.Sequential(*convolutions).eval().requires_grad_(False)


@pytest.mark.parametrize(("name", "config"), [("c3a", C3AConfig), ("cdvft", CDVFTConfig)])
def test_flops_and_parameters_are_those_of_a_network(name, config):
    targets, x = ["0", "1", "2"], torch.randn(2, 4, 6, 6)
    adapted = inject(network(), config(target_modules=targets, init_weights=False))
    for layer in adapted:  # a hook, so that the change is not added to the base weight
        layer.adapters["default"].register_forward_hook(lambda *args: None)
    counted = count_flops(adapted, x, backward=False).forward - count_flops(network(), x, backward=False).forward
    formula = costs.model_flops(network(), name, targets, tokens=POSITIONS)
    sums = POSITIONS * sum(layer.d_out for layer in costs.layers(network(), targets))
    scales = costs.model_parameters(network(), "c3a", targets)
    assert formula <= counted <= formula + sums + scales
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert costs.model_parameters(network(), name, targets) == trained


def test_convolutions_count_only_where_they_are_named():
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.Linear(8, 8))
    assert costs.layers(model) == [costs.Layer("1", 8, 8)]
    assert costs.layers(model, ["0"]) == [costs.Layer("0", 18, 8, True)]
    assert costs.model_parameters(model, "c3a", ["0", "1"]) == 18 * 8 // 2 + 8


def test_bytes_of_convolutions_are_refused():
    for count in (costs.model_saved_bytes, costs.model_moved_bytes):
        with pytest.raises(ValueError, match="layer '0' is a convolution; bytes are counted for linear layers only"):
            count(network(), "c3a", ["0"], tokens=3)
