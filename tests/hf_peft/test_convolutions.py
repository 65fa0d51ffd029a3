"""Adapted convolutions: the layer against a convolution with a dense weight, and everything that PEFT does with it."""

import copy
import warnings

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from torch.nn.functional import conv2d
from transformers import ResNetConfig, ResNetForImageClassification

from circpeft import C3AConfig, CDVFTConfig, costs, inject, lora_error, merge
from circpeft.hf_peft.convolution_layers import ConvolutionLayer

LAYERS = {
    "3x3": lambda: nn.Conv2d(4, 8, 3, padding=1),
    "odd and prime": lambda: nn.Conv2d(3, 7, 3, stride=2, bias=False),
    "1x1": lambda: nn.Conv2d(6, 9, 1, stride=(2, 1)),
    "rectangular": lambda: nn.Conv2d(5, 10, (1, 3), (2, 1), (0, 2), (1, 2)),
    "groups": lambda: nn.Conv2d(6, 4, 2, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6),
    "same, even": lambda: nn.Conv2d(4, 4, 2, padding="same"),
    "valid": lambda: nn.Conv2d(4, 4, 2, padding="valid"),
    "reflect": lambda: nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="reflect"),
    "circular": lambda: nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular"),
    "channels last": lambda: nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last),
}
layers = pytest.mark.parametrize("kind", LAYERS)


def network():
    torch.manual_seed(1)
    convolutions = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, stride=2)
    model = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.Flatten(), nn.Linear(108, 4))
    return model.requires_grad_(False)


def images(count=2):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def dense(base, delta, x):
    """The output of a convolution with a changed weight, by torch."""
    changed = copy.deepcopy(base)
    changed.weight = nn.Parameter(base.weight + delta)
    return changed(x)


@layers
def test_the_output_and_the_merge_are_those_of_the_changed_weight(method, kind, error):
    base = LAYERS[kind]()
    model = get_peft_model(nn.Sequential(copy.deepcopy(base)), method(target_modules=["0"]))
    layer = model.base_model.model[0]
    x = torch.randn(2, base.in_channels, 7, 6)
    x = x.to(memory_format=torch.channels_last) if kind == "channels last" else x
    delta = layer.get_delta_weight("default").detach()
    truth = dense(base, delta, x)
    assert delta.shape == base.weight.shape and error(truth, base(x)) > 0.05
    joined = layer(x)
    torch.testing.assert_close(joined, truth)
    assert joined.stride() == base(x).stride()
    hook = layer.adapters["default"].register_forward_hook(lambda *args: None)  # now both products are computed
    torch.testing.assert_close(layer(x), truth)
    hook.remove()
    torch.testing.assert_close(layer(x[0]), truth[0])  # one image without a batch
    model.merge_adapter()
    torch.testing.assert_close(layer(x), truth)
    assert layer.weight.stride() == base.weight.stride()
    model.unmerge_adapter()
    assert torch.equal(layer.weight, base.weight)
    model.merge_adapter()
    with model.disable_adapter():
        assert torch.equal(layer(x), base(x))
    merged = model.merge_and_unload()[0]
    assert type(merged) is nn.Conv2d
    torch.testing.assert_close(merged(x), truth)


@pytest.mark.parametrize("config", [C3AConfig, CDVFTConfig, lambda **o: CDVFTConfig(num_factors=5, **o)])
@pytest.mark.parametrize("kind", ["odd and prime", "groups", "circular"])
@pytest.mark.parametrize("joined", [True, False])
def test_gradients_of_input_and_parameters_in_float64(config, kind, joined):
    layer = inject(nn.Sequential(LAYERS[kind]()), config(target_modules=["0"], init_weights=False)).double()[0]
    adapter = layer.adapters["default"]
    if not joined:
        adapter.register_forward_hook(lambda *args: None)
    x = torch.randn(1, layer.base_layer.in_channels, 5, 4, dtype=torch.float64, requires_grad=True)

    def function(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    names, parameters = zip(*[(n, p) for n, p in layer.named_parameters() if p.requires_grad], strict=True)
    assert torch.autograd.gradcheck(function, (x, *parameters), fast_mode=True)
    truth = dense(layer.base_layer, layer.get_delta_weight("default"), x)
    assert torch.allclose(layer(x), truth)


def test_a_new_adapter_changes_no_bit():
    for config in (C3AConfig, CDVFTConfig):
        assert torch.equal(inject(network(), config(target_modules=["0", "2"]))(images()), network()(images()))


def test_several_adapters_are_summed_switched_and_deleted(method):
    model, x = get_peft_model(network(), method(target_modules=["0", "2"])), images()
    one = model(x)
    model.add_adapter("other", method(target_modules=["2"], block_size=2))
    assert torch.equal(model(x), one), "a further adapter acts only once it is active"
    model.set_adapter("other")
    other = model(x)
    model.base_model.set_adapter(["default", "other"])
    layer, inputs = model.base_model.model[2], torch.randn(2, 6, 8, 8)
    delta = layer.get_delta_weight("default") + layer.get_delta_weight("other")
    torch.testing.assert_close(layer(inputs), dense(layer.base_layer, delta, inputs))
    both = model(x)
    model.eval()
    mixed = model(torch.cat([x, x]), adapter_names=["default", "default", "other", "__base__"])
    expected = torch.cat([one, other[:1], network()(x)[1:]])
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(model.merge_and_unload()(x), both)


def test_a_mixed_batch_needs_a_batch(method):
    layer = inject(network(), method(target_modules=["0"])).eval()[0]
    with pytest.raises(ValueError, match=r"adapter_names.*'0' got \(3, 8, 8\)"):
        layer(images()[0], adapter_names=["default"] * 3)


def test_bfloat16_and_autocast(method, error):
    model = inject(network(), method(target_modules=["0", "2"]))
    truth = model.double()(images().double())
    half = inject(network().bfloat16(), method(target_modules=["0", "2"]))
    half.load_state_dict(model.state_dict())
    assert {p.dtype for n, p in half.named_parameters() if method.prefix in n} == {torch.float32}
    y = half(images().bfloat16())
    assert y.dtype == torch.bfloat16 and error(y, truth) < 0.02
    y.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.any() for p in half.parameters() if p.requires_grad)
    with torch.autocast("cpu", torch.bfloat16):
        y = model.float()(images())
    assert y.dtype == torch.bfloat16 and error(y, truth) < 0.02


@pytest.mark.parametrize("config", [C3AConfig(target_modules=["0"]), CDVFTConfig(target_modules=["0"], num_factors=5)])
def test_the_meta_device_gives_the_shape(config):
    model = inject(nn.Sequential(nn.Conv2d(2, 4, 3)), config).to("meta")
    y = model(torch.empty(1, 2, 5, 6, device="meta"))
    assert y.is_meta and y.shape == (1, 4, 3, 4)


def test_dropout_drops_inputs_only_in_training():
    model, x = inject(network(), C3AConfig(target_modules=["0"], init_weights=False, dropout=0.5)), images()
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_saving_and_loading(method, tmp_path):
    model = get_peft_model(network(), method(target_modules=["0", "2"]))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(network(), tmp_path)
    assert torch.equal(loaded(images()), model(images()))
    other = nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), *list(network())[1:])
    with pytest.raises(ValueError, match="'0'"):
        PeftModel.from_pretrained(other, tmp_path)


def test_a_weighted_sum_is_exact(method):
    model = get_peft_model(network(), method(target_modules=["2"]))
    model.base_model.add_weighted_adapter(["default"], [0.5], "halved")
    layer = model.base_model.model[2]
    torch.testing.assert_close(layer.get_delta_weight("halved"), 0.5 * layer.get_delta_weight("default"))
    assert isinstance(layer, ConvolutionLayer)


def test_all_linear_adapts_no_convolution(method):
    model = get_peft_model(network(), method(target_modules=["0"]))
    model.add_adapter("linear", method(target_modules="all-linear"))
    assert [
        name for name, p in model.named_parameters() if ".linear." in name and "base_model.model.4" not in name
    ] == []


@pytest.mark.parametrize(
    "layer", [nn.Conv1d(3, 6, 3), nn.Conv3d(3, 6, 3), nn.ConvTranspose2d(3, 6, 3), nn.LazyConv2d(6, 3)]
)
def test_other_layers_are_refused_by_name(layer, method):
    model = nn.Sequential(layer)
    with pytest.raises((TypeError, ValueError), match="layer '0'"):
        inject(model, method(target_modules=["0"]))
    assert model[0] is layer


def test_a_block_size_that_does_not_divide_names_the_layer():
    with pytest.raises(
        ValueError, match=r"layer '2' \(d_in=54, d_out=12\): block_size=4.*nearest common divisors: 3, 6"
    ):
        inject(network(), C3AConfig(target_modules=["0", "2"], block_size=4, block_size_pattern={"0": 3}))


class Standardized(nn.Conv2d):
    """A convolution that uses another weight than its own."""

    def _conv_forward(self, x, weight, bias):
        return conv2d(x, weight - weight.mean(), bias, padding=self.padding)


class PaddedInForward(nn.Conv2d):
    def forward(self, x):
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1)))


def test_a_convolution_with_a_forward_of_its_own():
    x = images()
    model = inject(nn.Sequential(Standardized(3, 6, 3, padding=1)), C3AConfig(target_modules=["0"], init_weights=False))
    layer = model[0]
    expected = layer.base_layer(x) + conv2d(x, layer.get_delta_weight("default"), padding=1)
    torch.testing.assert_close(layer(x), expected)
    with pytest.raises(ValueError, match=r"layer '0' \(Standardized\) cannot be merged.*from that of Conv2d by"):
        merge(model)
    model = inject(nn.Sequential(PaddedInForward(3, 6, 3)), C3AConfig(target_modules=["0"], init_weights=False))
    with pytest.raises(ValueError, match=r"layer '0' \(PaddedInForward\) has an output of shape \(2, 6, 8, 8\), but"):
        model(x)


def test_a_plain_subclass_can_be_merged():
    model = inject(nn.Sequential(type("Named", (nn.Conv2d,), {})(3, 6, 3)), C3AConfig(target_modules=["0"]))
    assert type(merge(model)[0]).__name__ == "Named"


def test_a_convolution_is_not_converted_to_lora(method):
    model = inject(network(), method(target_modules=["0"]))
    with pytest.raises(ValueError, match="'0' is not a linear layer"):
        lora_error(model, rank=1)


def resnet():
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", num_labels=2)
    return ResNetForImageClassification(config)


def test_a_resnet_learns_through_its_convolutions(method):
    x, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 2
    model = get_peft_model(resnet(), method.config(target_modules=["convolution"]))
    before = {n: p.detach().clone() for n, p in model.named_parameters() if method.prefix not in n}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(12):
        loss = model(pixel_values=x, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if n in before)
    model.eval()
    logits = model(x).logits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        merged = model.merge_and_unload()
    torch.testing.assert_close(merged(x).logits, logits, atol=1e-4, rtol=1e-4)


def test_the_cost_model_counts_named_convolutions(method):
    model = resnet()
    name = {"CIRCONV": "c3a", "CDVFT": "cdvft"}[method.name]
    adapted = inject(copy.deepcopy(model), method.config(target_modules=["convolution"]))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert costs.model_parameters(model, name, ["convolution"]) == trained
    assert [(la.d_in, la.d_out) for la in costs.layers(model, ["embedder.embedder.convolution"])] == [(147, 8)]
    assert not any("convolution" in layer.name for layer in costs.layers(model))
