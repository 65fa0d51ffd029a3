"""Two methods on one layer, merged one after the other: each order of unmerging gives the weight back."""

import pytest
import torch
from accelerate import cpu_offload
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from circpeft.hf_peft.offload import onloaded


def lora(**options):
    return LoraConfig(r=2, init_lora_weights=False, **options)


def stacked(first, second, dtype=torch.float32):
    """Return a layer with two adapters, the layers of both methods from the inside out, and the base weight."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6)).to(dtype)
    weight = model[0].weight.detach().clone()
    for name, config in (("a", first), ("b", second)):
        inject_adapter_in_model(config(target_modules=["0"]), model, name)
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)][::-1]
    for layer in layers:
        layer.set_adapter(["a", "b"])
    return model, layers, weight


@pytest.mark.filterwarnings("ignore:Already found:UserWarning")
@pytest.mark.parametrize("pair", ["C3A LoRA", "LoRA C3A", "CDVFT LoRA", "LoRA CDVFT", "C3A CDVFT", "CDVFT C3A"])
@pytest.mark.parametrize("outer_first", [False, True])
def test_each_order_of_unmerging_gives_the_weight_back(methods, pair, outer_first):
    configs = {"C3A": methods[0], "CDVFT": methods[1], "LoRA": lora}
    model, layers, weight = stacked(*(configs[name] for name in pair.split()))
    x = torch.randn(5, 8)
    expected = model(x)
    for layer in layers:  # from the inside, as diffusers' fuse_lora does
        layer.merge()
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    merged = model[0].get_base_layer().weight.detach().clone()
    one, other = layers[::-1] if outer_first else layers
    one.unmerge()
    half = model[0].get_base_layer().weight.detach()
    name = "b" if outer_first else "a"
    torch.testing.assert_close(half, merged - one.get_delta_weight(name).detach(), rtol=1e-4, atol=1e-4)
    other.unmerge()
    assert len(layers) == 2 and not any(layer.merged for layer in layers)
    torch.testing.assert_close(model[0].get_base_layer().weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    assert (merged - weight).norm() > 1


@pytest.mark.filterwarnings("ignore:Already found:UserWarning", "ignore:adapter 'a' is merged:UserWarning")
def test_the_change_that_was_merged_is_subtracted_whatever_its_scale_is_now(method):
    model, (inner, outer), weight = stacked(method, lora)
    inner.set_scale("a", 0.5)
    inner.merge()
    outer.merge()
    inner.set_scale("a", 2.0)
    inner.unmerge()
    outer.unmerge()
    torch.testing.assert_close(model[0].get_base_layer().weight.detach(), weight, rtol=1e-4, atol=1e-5)
    assert inner.adapters["a"].alpha == 2 * inner.initial_alphas["a"]


def test_without_another_merge_the_weight_is_the_same_bit_for_bit_and_follows_a_conversion(tiny, method):
    model = inject_adapter_in_model(method(target_modules=["0"]), tiny.mlp())
    weight = model[0].base_layer.weight
    for _ in range(2):
        model[0].merge()
        model[0].unmerge()
        assert model[0].base_layer.weight is weight
    model[0].merge()
    model.to(torch.bfloat16)
    model[0].unmerge()
    assert torch.equal(model[0].base_layer.weight, tiny.mlp()[0].weight.bfloat16())


def test_an_offloaded_weight_is_restored_bit_for_bit(tiny, method):
    model = cpu_offload(inject_adapter_in_model(method(target_modules=["0"]), tiny.mlp()), torch.device("cpu"))
    x, weight = torch.randn(3, 8), tiny.mlp()[0].weight
    expected = model(x)
    model[0].merge()
    assert model[0].base_layer.weight.is_meta and (model(x) - tiny.mlp()(x)).abs().max() > 0.1
    model[0].unmerge()
    with onloaded(model[0].base_layer):
        assert torch.equal(model[0].base_layer.weight, weight)
    assert torch.equal(model(x), expected)


@pytest.mark.filterwarnings("ignore:Already found:UserWarning")
def test_unmerging_two_merges_keeps_what_another_method_merged_between_them(method):
    model, (inner, outer), weight = stacked(method, lora)
    inner.add_adapter("c", method(target_modules=["0"]))
    inner.merge(adapter_names=["a"])
    outer.merge()
    inner.merge(adapter_names=["c"])
    inner.unmerge()
    half = model[0].get_base_layer().weight.detach()
    torch.testing.assert_close(half, weight + outer.get_delta_weight("b").detach(), rtol=1e-4, atol=1e-4)
    outer.unmerge()
    torch.testing.assert_close(model[0].get_base_layer().weight.detach(), weight, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Already found:UserWarning")
def test_unmerging_can_be_repeated_after_an_error(method, monkeypatch):
    model, (inner, outer), weight = stacked(method, lora)
    inner.merge()
    outer.merge()

    def out_of_memory(*given):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr("circpeft.hf_peft.merged_layer.without_change", out_of_memory)
        inner.unmerge()
    assert inner.merged
    inner.unmerge()
    outer.unmerge()
    torch.testing.assert_close(model[0].get_base_layer().weight.detach(), weight, rtol=1e-4, atol=1e-4)
