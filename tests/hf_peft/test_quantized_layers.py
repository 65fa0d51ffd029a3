"""Adapters on quantised base layers: an unchanged base, gradients, merges with their share, and merges into floats."""

import copy
import warnings

import pytest
import torch
from peft import get_peft_model
from torch import nn

from circpeft import inject, merge

BNB = {"8bit": "Linear8bitLt", "nf4": "Linear4bit", "fp4": "Linear4bit"}
TORCHAO = {"int8": "Int8WeightOnlyConfig", "float8": "Float8WeightOnlyConfig"}
WIDTH = 64


def quantized(kind):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 8))
    if kind in BNB:
        bnb = pytest.importorskip("bitsandbytes")
        options = {"has_fp16_weights": False} if kind == "8bit" else {"quant_type": kind}
        layer = getattr(bnb.nn, BNB[kind])(WIDTH, WIDTH, **options)
        layer.load_state_dict(model[0].state_dict())
        model[0] = layer.to("cpu")
        with torch.no_grad():
            model[0](torch.randn(2, WIDTH))  # bitsandbytes quantises at the move or at the first call
        return model
    torchao = pytest.importorskip("torchao.quantization")
    torchao.quantize_(model[0], getattr(torchao, TORCHAO[kind])())
    return model


def adapted(kind, method, how="inject", **options):
    config = method(target_modules=["0"], block_size=16, **options)
    return inject(quantized(kind), config) if how == "inject" else get_peft_model(quantized(kind), config)


kinds = pytest.mark.parametrize("kind", [*BNB, *TORCHAO])


@kinds
def test_the_adapter_adds_delta_to_an_unchanged_base_and_trains(method, kind, error):
    base, model = quantized(kind), adapted(kind, method)
    x = torch.randn(5, WIDTH)
    delta = model[0].get_delta_weight("default")
    with torch.no_grad():
        assert error(model[0](x), base[0](x) + x @ delta.T) < 1e-5 and (x @ delta.T).norm() > 0.1
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert trainable and all(method.prefix in n and p.dtype == torch.float32 for n, p in trainable.items())
    optimizer, losses = torch.optim.Adam(trainable.values(), lr=1e-2), []
    for _ in range(5):
        loss = model(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        assert torch.equal(model[0].base_layer(x), base[0](x))


@pytest.mark.parametrize("kind", [*BNB, *TORCHAO])
def test_a_merge_reports_its_share_and_is_undone_bit_for_bit(method, kind, error):
    model, x = adapted(kind, method, "peft"), torch.randn(5, WIDTH)
    layer = model.base_model.model[0]
    with torch.no_grad():
        base, before = layer.base_layer(x), layer(x)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.merge_adapter()
        merged = layer(x)
        # The stored weight is the sum, up to the steps of the format.
        assert error(merged, before) < {"8bit": 0.05, "int8": 0.05, "float8": 0.08}.get(kind, 0.25)
        assert error(merged, base) > 0.2
        assert all("keeps" in str(w.message) for w in caught if "of ΔW" in str(w.message))
        model.unmerge_adapter()
        assert torch.equal(layer(x), before) and torch.equal(layer.base_layer(x), base)


@pytest.mark.parametrize("kind", ["8bit", "nf4"])
def test_a_small_delta_that_the_format_loses_warns(method, kind):
    model = adapted(kind, method, alpha=1e-3)
    with pytest.warns(UserWarning, match=r"keeps -?[\d.]+% of ΔW in layer '0'.*merge\(model, dtype=torch.float32\)"):
        model[0].merge()


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_into_floats_gives_plain_layers_without_loss(method, kind, dtype, error):
    from circpeft.hf_peft.base_weights import float_weight

    model, plain = adapted(kind, method), quantized(kind)
    truth = float_weight(plain[0]).float() + model[0].get_delta_weight("default").detach()
    merged = merge(model, dtype=dtype)
    assert type(merged[0]) is nn.Linear and {p.dtype for p in merged.parameters()} == {dtype}
    assert error(merged[0].weight, truth) < (1e-6 if dtype == torch.float32 else 5e-3)
    x = torch.randn(3, WIDTH)
    assert merged(x.to(dtype)).shape == (3, 8)
    copy.deepcopy(merged)


def test_a_scheme_that_cannot_be_repeated_raises_and_nothing_changes(method, monkeypatch):
    model = adapted("int8", method)
    weight = model[0].weight
    monkeypatch.setattr("circpeft.hf_peft.quantized_weights.TORCHAO_SCHEMES", {})
    with pytest.raises(ValueError, match="layer '0' is quantised by torchao .*merge\\(model, dtype=torch.bfloat16\\)"):
        model[0].merge()
    assert model[0].weight is weight and not model[0].merged


@pytest.mark.parametrize("kind", ["8bit", "nf4"])
def test_several_adapters_on_one_quantised_layer(method, kind, error):
    model, x = adapted(kind, method, "peft"), torch.randn(5, WIDTH)
    model.add_adapter("other", method(target_modules=["0"], block_size=32))
    layer = model.base_model.model[0]
    model.base_model.set_adapter(["default", "other"])
    with torch.no_grad():
        delta = layer.get_delta_weight("default") + layer.get_delta_weight("other")
        assert error(layer(x), layer.base_layer(x) + x @ delta.T) < 1e-5


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_training_continues_after_an_evaluation(method, kind):
    model, x = adapted(kind, method), torch.randn(2, WIDTH, requires_grad=True)
    with torch.no_grad():
        before = model.eval()(x)
    model.train()(x).sum().backward()
    assert x.grad.count_nonzero() and torch.equal(model.eval()(x), before)


def test_a_layer_that_passes_no_gradient_warns(method):
    torchao = pytest.importorskip("torchao.quantization")
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH))
    torchao.quantize_(model[0], torchao.Int8DynamicActivationInt8WeightConfig())
    with pytest.warns(UserWarning, match="layer '0' is quantised together with its input.*no gradient"):
        inject(model, method(target_modules=["0"]))
