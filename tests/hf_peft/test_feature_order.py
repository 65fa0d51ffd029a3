"""Permuted features in a whole model: its function, merging, and the random numbers of everything else."""

import pytest
import torch
from peft import get_peft_model
from torch import nn

from circpeft import inject
from circpeft.adapters.permuted import PermutedFeatures
from circpeft.hf_peft.feature_order import permute_all_features
from circpeft.hf_peft.layer import CirculantLayer

from .moe_models import adapted, moe

TARGETS = {"bert": ["query", "value", "dense"], "gpt2": ["c_attn", "c_proj", "c_fc"]}
models = pytest.mark.parametrize("name", TARGETS)


def permuted(tiny, method, name: str, seed: int = 0, **options) -> nn.Module:
    model = get_peft_model(getattr(tiny, name)(torch.float64), method(target_modules=TARGETS[name], **options)).eval()
    permute_all_features(model.double(), seed)
    return model


def layers(model: nn.Module) -> list[CirculantLayer]:
    return [layer for layer in model.modules() if isinstance(layer, CirculantLayer)]


@models
def test_the_function_is_unchanged_at_a_delta_of_zero(tiny, method, name):
    model, base = permuted(tiny, method, name, init_weights=True), getattr(tiny, name)(torch.float64)
    assert len(layers(model)) > 4
    assert all(isinstance(layer.adapters["default"], PermutedFeatures) for layer in layers(model))
    torch.testing.assert_close(tiny.logits(model), tiny.logits(base), rtol=0, atol=1e-12)


@models
def test_merging_is_exact_and_undone(tiny, method, name):
    model = permuted(tiny, method, name, init_weights=False)
    before = tiny.logits(model)
    natural = get_peft_model(
        getattr(tiny, name)(torch.float64), method(target_modules=TARGETS[name], init_weights=False)
    )
    natural.double().load_state_dict(model.state_dict())
    assert (tiny.logits(natural.eval()) - before).abs().max() > 1e-3, "another order must be another function"
    model.merge_adapter()
    torch.testing.assert_close(tiny.logits(model), before, rtol=0, atol=1e-9)
    model.unmerge_adapter()
    assert torch.equal(tiny.logits(model), before)
    torch.testing.assert_close(tiny.logits(model.merge_and_unload()), before, rtol=0, atol=1e-9)


def test_the_orders_depend_on_the_seed_and_the_layer_only(tiny, method):
    def orders(seed):
        torch.manual_seed(torch.randint(1000, ()).item())
        return [layer.adapters["default"].input_order for layer in layers(permuted(tiny, method, "bert", seed))]

    first, again, other = orders(0), orders(0), orders(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])  # two layers of one size


def test_the_global_random_numbers_are_not_used(tiny, method):
    model = inject(tiny.mlp(), method(target_modules=["0"]))
    state = torch.get_rng_state()
    permute_all_features(model, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_without_adapters_is_refused(tiny):
    with pytest.raises(ValueError, match="no layer with an adapter of C3A or CDVFT"):
        permute_all_features(tiny.mlp(), 0)


def test_convolutions_and_experts_are_refused_and_nothing_changes(method):
    model = inject(nn.Sequential(nn.Linear(4, 4), nn.Conv2d(2, 2, 1)), method(target_modules=["0", "1"]))
    with pytest.raises(ValueError, match="layer '1' cannot be permuted: .* got Convolution"):
        permute_all_features(model, 0)
    assert not isinstance(model[0].adapters["default"], PermutedFeatures)
    with pytest.raises(ValueError, match="cannot be permuted: .* got ExpertAdapters"):
        permute_all_features(adapted(moe("mixtral"), "c3a", target_modules=[]), 0)
