"""The methods that scale an adapter, as on PEFT's LoRA layers: every use of ΔW is scaled, a saved adapter is not."""

import math
import warnings

import peft
import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn

import circpeft
from circpeft import use_backend
from circpeft.hf_peft.layer import CirculantLayer
from tests.versions import COMPILES_PEFT


def adapted(tiny, method, **options):
    return get_peft_model(tiny.mlp(), method(target_modules=["0", "2"], alpha=3.0, **options)).eval()


def layers(model):
    return [module for module in model.modules() if isinstance(module, CirculantLayer)]


def change(model, name="default"):
    return [layer.get_delta_weight(name).detach() for layer in layers(model)]


def scale_all(model, name, scale):
    for layer in layers(model):
        layer.set_scale(name, scale)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [0.25, -2, 0])
@pytest.mark.parametrize("backend", ["auto", "fold", "rfft", "reference"])
def test_the_output_has_the_scaled_change(tiny, method, error, scale, backend):
    model, plain = adapted(tiny, method), tiny.mlp()
    x, before = torch.randn(3, 8), change(model)
    scale_all(model, "default", scale)
    for layer, delta in zip((plain[0], plain[2]), before, strict=True):
        layer.weight.data += scale * delta
    with use_backend(backend):
        assert error(model(x), plain(x)) < 1e-5
    close(change(model), [scale * delta for delta in before])
    assert sum(delta.norm() for delta in before) > 1, "a small change proves nothing"


def test_factors_multiply_and_only_those_of_active_adapters(tiny, method):
    model = adapted(tiny, method)
    model.add_adapter("other", method(target_modules=["0"], alpha=5.0))
    first, second = layers(model)

    def alphas():
        return [layer.adapters[name].alpha for layer in (first, second) for name in layer.adapters]

    scale_all(model, "default", 0.5)
    scale_all(model, "other", 2)  # the second layer does not have this adapter
    assert alphas() == [1.5, 10.0, 1.5]
    for layer in layers(model):
        layer.scale_layer(4)
    assert alphas() == [6.0, 10.0, 6.0]
    model.base_model.set_adapter(["default", "other"])
    for layer in layers(model):
        layer.scale_layer(0.5)
        layer.unscale_layer(4)
    assert alphas() == [0.75, 1.25, 0.75]
    for layer in layers(model):
        layer.unscale_layer()
    assert alphas() == [3.0, 5.0, 3.0]


def test_the_scale_is_that_of_a_lora_layer(method):
    """The same calls multiply ΔW of PEFT's LoRA by the same numbers."""
    calls = [("set_scale", "default", 0.5), ("scale_layer", 3), ("unscale_layer", 2), ("scale_layer", 0.0)]
    calls += [("set_scale", "absent", 7.0), ("set_scale", "default", 1.0), ("scale_layer", 1), ("unscale_layer",)]
    config = peft.LoraConfig(target_modules=["0"], init_lora_weights=False)
    theirs = get_peft_model(nn.Sequential(nn.Linear(8, 6)), config).base_model.model[0]
    ours = get_peft_model(nn.Sequential(nn.Linear(8, 6)), method(target_modules=["0"])).base_model.model[0]
    start = [layer.get_delta_weight("default").detach() for layer in (ours, theirs)]
    for name, *arguments in calls:
        for layer in (ours, theirs):
            getattr(layer, name)(*arguments)
        ratios = [
            float((layer.get_delta_weight("default").detach() * delta).sum() / delta.square().sum())
            for layer, delta in zip((ours, theirs), start, strict=True)
        ]
        assert ratios[0] == pytest.approx(ratios[1], rel=1e-5), name


def test_a_merge_has_the_scale_and_unmerging_restores_the_weight(tiny, method):
    model, x = adapted(tiny, method), torch.randn(4, 8)
    weights = [layer.base_layer.weight.detach().clone() for layer in layers(model)]
    scale_all(model, "default", 0.5)
    expected = model(x)
    model.merge_adapter()
    close(model(x), expected)
    with pytest.warns(UserWarning, match="'default' is merged; its new scale takes effect when it is unmerged"):
        scale_all(model, "default", 2)
    close(model(x), expected)
    model.unmerge_adapter()
    assert all(torch.equal(layer.base_layer.weight, w) for layer, w in zip(layers(model), weights, strict=True))
    full = model(x)
    assert not torch.allclose(full, expected, atol=0.1)
    close(circpeft.merge(model)(x), full)


def test_a_pair_of_calls_on_a_merged_layer_that_changes_nothing_gives_no_warning(tiny, method):
    model = adapted(tiny, method)
    model.merge_adapter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layer in layers(model):
            layer.scale_layer(1.0)
            layer.set_scale("default", 1.0)
            layer.unscale_layer()


def test_a_saved_adapter_has_the_alpha_of_its_config(tiny, method, tmp_path):
    model, x = adapted(tiny, method), torch.randn(4, 8)
    expected = model(x)
    scale_all(model, "default", 0.125)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.mlp(), tmp_path).eval()
    assert loaded.peft_config["default"].alpha == 3.0
    assert torch.equal(loaded(x), expected) and not torch.allclose(model(x), expected, atol=0.1)


def test_an_adapter_saved_for_pefts_c3a_has_the_alpha_of_its_config(tiny, methods, tmp_path):
    model = adapted(tiny, methods[0])
    expected = change(model)
    scale_all(model, "default", 0.125)
    circpeft.save_peft_c3a(model, tmp_path)
    close(change(circpeft.load_peft_c3a(tiny.mlp(), tmp_path)), expected)


def test_a_mixed_batch_and_a_weighted_sum_have_the_scales(tiny, method):
    model, x = adapted(tiny, method), torch.randn(3, 8)
    model.add_adapter("other", method(target_modules=["0", "2"], alpha=5.0))
    scale_all(model, "default", 0.5)
    scale_all(model, "other", -0.25)
    expected = []
    for row, name in enumerate(["default", "other"]):
        model.set_adapter(name)
        expected.append(model(x[row : row + 1]))
    mixed = model.eval()(x, adapter_names=["default", "other", "__base__"])
    close(mixed[:2], torch.cat(expected))
    close(mixed[2:], tiny.mlp()(x[2:]))
    scaled = change(model, "other")
    model.base_model.add_weighted_adapter(["other"], [3.0], "sum")
    close(change(model, "sum"), [3 * delta for delta in scaled])
    scale_all(model, "sum", 2)
    close(change(model, "sum"), [6 * delta for delta in scaled])


def test_a_deleted_adapter_leaves_no_scale_to_its_successor(tiny, method):
    model = adapted(tiny, method)
    model.add_adapter("other", method(target_modules=["0", "2"]))
    scale_all(model, "other", 0.5)
    model.delete_adapter("other")
    assert all(list(layer.initial_alphas) == ["default"] for layer in layers(model))
    model.add_adapter("other", method(target_modules=["0", "2"], alpha=7.0))
    assert all(layer.adapters["other"].alpha == layer.initial_alphas["other"] == 7.0 for layer in layers(model))


def test_gradients_have_the_scale(tiny, method):
    layer, x = layers(adapted(tiny, method))[0], torch.randn(4, 8)
    parameters = list(layer.adapters["default"].parameters())
    full = torch.autograd.grad(layer(x).sum(), parameters)
    layer.set_scale("default", 0.5)
    close(torch.autograd.grad(layer(x).sum(), parameters), tuple(0.5 * g for g in full))


@COMPILES_PEFT
def test_a_compiled_model_follows_the_scale(tiny, method):
    model, x = adapted(tiny, method), torch.randn(4, 8)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    seen = []
    for scale in (1, 0.5, 2, 1):
        scale_all(model, "default", scale)
        seen.append(model(x).detach())
        close(compiled(x), seen[-1])
    assert torch.equal(seen[0], seen[3]) and not torch.allclose(seen[0], seen[1], atol=0.1)


class ScaledCall(nn.Module):
    """Scale the adapted layers for one call, as the forward of a diffusers model does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, scale):
        for layer in layers(self.model):
            layer.scale_layer(scale)
        y = self.model(x)
        for layer in layers(self.model):
            layer.unscale_layer(scale)
        return y


@COMPILES_PEFT
def test_a_compiled_model_may_set_the_scale_itself(tiny, method):
    model, x = adapted(tiny, method), torch.randn(4, 8)
    eager = ScaledCall(model)
    compiled = torch.compile(eager, fullgraph=True, backend="aot_eager")
    full = model(x)
    for scale in (0.5, 2.0):
        expected = eager(x, scale)
        close(compiled(x, scale), expected)
        assert not torch.allclose(full, expected, atol=0.1)
    assert all(layer.adapters["default"].alpha == 3.0 for layer in layers(model))


@pytest.mark.parametrize("scale", [math.nan, math.inf, None, "0.5", True])
def test_a_scale_that_is_not_a_number_raises_and_changes_nothing(tiny, method, scale):
    model = adapted(tiny, method)
    layer = layers(model)[0]
    calls = [lambda: layer.set_scale("default", scale), lambda: layer.scale_layer(scale)]
    calls += [] if scale is None else [lambda: layer.unscale_layer(scale)]
    for call in calls:
        with pytest.raises(ValueError, match=f"scale must be a finite number, got {scale!r}"):
            call()
    with pytest.raises(ValueError, match=r"scale must not be 0.*unscale_layer\(\) restores every alpha"):
        layer.unscale_layer(0)
    assert layer.adapters["default"].alpha == 3.0
