"""Base weights of each kind of layer: read, replaced, and restored."""

import copy
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, BitsAndBytesConfig, TorchAoConfig
from transformers.pytorch_utils import Conv1D

from circpeft.hf_peft.base_weights import (
    float_layer,
    float_weight,
    is_quantized,
    linear_shape,
    set_weight,
    stored_weight,
)

D_IN, D_OUT = 128, 64  # the 4-bit CPU kernels of bitsandbytes are right only for multiples of 64 and 32


def plain(dtype: torch.dtype) -> nn.Linear:
    return nn.Linear(D_IN, D_OUT).to(dtype)


def bnb(cls: str, **options) -> Callable[[torch.dtype], nn.Module]:
    def build(dtype):
        layer = getattr(pytest.importorskip("bitsandbytes").nn, cls)(D_IN, D_OUT, **options).to(dtype)
        layer.load_state_dict(plain(dtype).state_dict())
        return layer.to("cpu")

    return build


def torchao(config: Callable) -> Callable[[torch.dtype], nn.Module]:
    def build(dtype):
        quantization, layer = pytest.importorskip("torchao.quantization"), plain(dtype)
        quantization.quantize_(layer, config(quantization))
        return layer

    return build


# Each kind with the largest relative error of one rounding.
PLAIN = {"Linear": (plain, 0.005), "Conv1D": (lambda dtype: Conv1D(D_OUT, D_IN).to(dtype), 0.005)}
BITSANDBYTES = {
    "8bit": (bnb("Linear8bitLt", has_fp16_weights=False), 0.01),
    "nf4": (bnb("Linear4bit", quant_type="nf4"), 0.12),
    "nf4-single": (bnb("Linear4bit", quant_type="nf4", compress_statistics=False), 0.12),
    "fp4": (bnb("Linear4bit", quant_type="fp4"), 0.15),
    "nf4-bfloat16-storage": (bnb("Linear4bit", quant_type="nf4", quant_storage=torch.bfloat16), 0.12),
}
TORCHAO = {
    "int8": (torchao(lambda q: q.Int8WeightOnlyConfig()), 0.01),
    "int8-tensor": (torchao(lambda q: q.Int8WeightOnlyConfig(granularity=q.PerTensor())), 0.02),
    "int8-group": (torchao(lambda q: q.Int8WeightOnlyConfig(granularity=q.PerGroup(32))), 0.01),
    "int8-dynamic": (torchao(lambda q: q.Int8DynamicActivationInt8WeightConfig()), 0.02),
    "float8": (torchao(lambda q: q.Float8WeightOnlyConfig()), 0.04),
    "float8-e5m2": (torchao(lambda q: q.Float8WeightOnlyConfig(weight_dtype=torch.float8_e5m2)), 0.08),
}
FROZEN = {"intx": (torchao(lambda q: q.IntxWeightOnlyConfig(torch.int4, granularity=q.PerGroup(32))), 0.1)}
STORABLE = {**PLAIN, **BITSANDBYTES, **TORCHAO}
FOUR_BIT = [name for name in BITSANDBYTES if "4" in name]


def cases(table):
    return pytest.mark.parametrize(("build", "tolerance"), table.values(), ids=table.keys())


def outputs(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The outputs in training and in evaluation, because bitsandbytes has a path for each."""
    layer.support_avx512bf16_for_cpu = False
    with torch.no_grad():
        return torch.stack([layer.train(training)(x) for training in (True, False)])


def product(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    weight = float_weight(layer).to(x.dtype)
    return x @ (weight if isinstance(layer, Conv1D) else weight.T) + layer.bias.detach()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@cases({**STORABLE, **FROZEN})
def test_the_float_weight_is_the_one_that_the_layer_multiplies_by(build, tolerance, dtype, error):
    layer, x = build(dtype), torch.randn(2, 3, D_IN).to(dtype)
    assert linear_shape(layer, "x") == (D_IN, D_OUT)
    before = float_weight(layer)
    assert type(before) is torch.Tensor and before.is_floating_point() and not before.requires_grad
    for y in outputs(layer, x):
        assert error(y, product(layer, x)) < 0.02
    assert torch.equal(float_weight(layer), before), "a forward moves the scales of an 8-bit weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@cases(STORABLE)
def test_a_new_weight_keeps_the_format_and_the_earlier_one_returns_bit_for_bit(build, tolerance, dtype, error):
    layer, x = build(dtype), torch.randn(4, D_IN).to(dtype)
    before, former, weight = outputs(layer, x), layer.weight, float_weight(layer).clone()
    merged = weight.float() + 0.05 * torch.randn(weight.shape)
    parameter = stored_weight(layer, merged, "x")
    assert layer.weight is former and torch.equal(outputs(layer, x), before), "stored_weight leaves the layer alone"
    assert getattr(parameter, "qdata", parameter).dtype == getattr(former, "qdata", former).dtype
    for key in ("__class__", "dtype", "shape", "requires_grad", "block_size", "act_quant_kwargs"):
        assert getattr(parameter, key, None) == getattr(former, key, None)
    set_weight(layer, parameter)
    stored = float_weight(layer)
    assert error(stored, merged) < tolerance < error(weight, merged) and stored.dtype == weight.dtype
    for y in outputs(layer, x):
        assert error(y, product(layer, x)) < 0.02
    set_weight(layer, former)
    assert torch.equal(outputs(layer, x), before) and torch.equal(float_weight(layer), weight)
    set_weight(layer, parameter)
    assert torch.equal(float_weight(layer), stored), "the merged one too can come back"


@pytest.mark.parametrize("name", FOUR_BIT)
def test_four_bits_keep_their_settings(name):
    layer = BITSANDBYTES[name][0](torch.bfloat16)
    old, weight = layer.weight, float_weight(layer)
    new = stored_weight(layer, weight.float(), "x")
    for key in ("quant_type", "blocksize", "dtype", "nested", "shape"):
        assert getattr(new.quant_state, key) == getattr(old.quant_state, key)
    for key in ("quant_type", "blocksize", "quant_storage", "compress_statistics", "bnb_quantized"):
        assert getattr(new, key) == getattr(old, key)
    layer.weight = bare = nn.Parameter(old.data, requires_grad=False)  # as sharded training gathers it
    again = stored_weight(layer, weight.float(), "x")
    assert torch.equal(again.data.view(torch.uint8), new.data.view(torch.uint8))
    set_weight(layer, new)
    set_weight(layer, bare)
    assert torch.equal(float_weight(layer), weight)


@pytest.mark.parametrize("name", FOUR_BIT)
def test_a_weight_that_an_evaluation_packed_for_the_cpu_is_read_correctly(name, error):
    functional = pytest.importorskip("bitsandbytes", "0.50").functional  # earlier ones may not pack
    layer = BITSANDBYTES[name][0](torch.float32)
    weight, former = float_weight(layer), layer.weight
    former.data, state = functional._convert_weight_packed_for_cpu(former.data, former.quant_state)
    codes = former.data.clone()
    assert error(float_weight(layer), weight) < 0.01, "its scales are rounded to bfloat16, no more"
    set_weight(layer, stored_weight(layer, weight, "x"))
    assert error(float_weight(layer), weight) < 0.01 and not getattr(layer.quant_state, "packing_format_for_cpu", False)
    set_weight(layer, former)
    assert layer.quant_state is state and state.packing_format_for_cpu and torch.equal(layer.weight.data, codes)


@cases({**BITSANDBYTES, **TORCHAO})
def test_gradients_flow_through_the_layer_to_earlier_layers(build, tolerance):
    layer, x = build(torch.float32), torch.randn(4, D_IN, requires_grad=True)
    y = layer(x)
    (y + 0 * x[:, :1]).square().sum().backward()
    # torchao passes no gradient through an input that it rounds.
    truth = 2 * y.detach() @ float_weight(layer) * (getattr(layer.weight, "act_quant_kwargs", None) is None)
    assert (x.grad - truth).norm() < 1e-3 * y.norm()


@cases(BITSANDBYTES)
def test_subclasses_and_copies_of_quantised_layers_are_supported(build, tolerance):
    layer, x = build(torch.float32), torch.randn(4, D_IN)
    layer.__class__ = type("Own", (type(layer),), {})
    before, other = outputs(layer, x), copy.deepcopy(layer)
    set_weight(other, stored_weight(other, torch.zeros(D_OUT, D_IN), "x"))
    assert is_quantized(other) and not float_weight(other).any() and torch.equal(outputs(layer, x), before)


@cases({**STORABLE, **FROZEN})
def test_a_float_layer_is_plain_and_shares_nothing(build, tolerance, error):
    layer, x, state = build(torch.float32).eval(), torch.randn(4, D_IN), torch.get_rng_state()
    new = float_layer(layer, torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state) and not new.training and not is_quantized(new)
    assert type(new) is (Conv1D if isinstance(layer, Conv1D) else nn.Linear)
    assert {p.dtype for p in new.parameters()} == {torch.bfloat16} and type(new.weight) is nn.Parameter
    assert error(new(x.bfloat16()), product(layer, x)) < 0.01
    float_layer(layer, torch.float32).weight.data.zero_()
    assert float_weight(layer).any() and float_layer(nn.Linear(3, 2, bias=False), torch.float64).bias is None


@cases(PLAIN)
def test_plain_weights_are_read_without_a_copy_and_need_neither_package(build, tolerance, monkeypatch):
    for package in ("bitsandbytes", "torchao"):
        monkeypatch.setitem(sys.modules, package, None)
    layer = build(torch.bfloat16).requires_grad_(False)
    former, weight = layer.weight, float_weight(layer)
    assert weight.data_ptr() == former.data_ptr() and not is_quantized(layer)
    assert not stored_weight(layer, weight, "x").requires_grad
    layer.weight = nn.Parameter(torch.empty_like(former, device="meta"))
    set_weight(layer, former)
    assert layer.weight.is_meta and not layer.weight.requires_grad, "a kept weight follows the layer to its device"


@pytest.mark.parametrize("cls", ["Linear8bitLt", "Linear4bit"])
def test_a_layer_with_float_weights_keeps_them(cls, error):
    layer, x = getattr(pytest.importorskip("bitsandbytes").nn, cls)(D_IN, D_OUT), torch.randn(4, D_IN)
    if cls == "Linear8bitLt":
        layer.eval().requires_grad_(False)(x)  # this layer quantises in the forward pass and keeps the result
    set_weight(layer, stored_weight(layer, torch.ones(D_OUT, D_IN), "x"))
    assert float_weight(layer).eq(1).all() and type(layer.weight) is not nn.Parameter
    assert cls == "Linear4bit" or error(layer(x), product(layer, x)) < 0.02


def test_quantised_weights_that_cannot_be_read_or_stored_raise():
    layer = BITSANDBYTES["8bit"][0](torch.float32)
    layer.weight.SCB = None
    with pytest.raises(ValueError, match="lost the scales"):
        float_weight(layer)
    layer = FROZEN["intx"][0](torch.float32)
    with pytest.raises(ValueError, match=r"layer 'a\.b' .*torchao \(IntxUnpackedToInt8Tensor\).*dtype=torch\.bfloat16"):
        stored_weight(layer, float_weight(layer), "a.b")
    layer = TORCHAO["int8"][0](torch.float32)
    layer.weight.act_pre_scale = torch.ones(D_IN)
    with pytest.raises(ValueError, match="torchao to Int8Tensor scales its input"):
        float_weight(layer)
    # A stand-in for 4-bit tensors, which torchao makes only on accelerators.
    layer.weight = nn.Parameter(torch.zeros(2, 2).as_subclass(type("Int4", (torch.Tensor,), {"__module__": "torchao"})))
    with pytest.raises(ValueError, match="torchao to Int4 cannot be dequantised"):
        float_weight(layer)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Embedding(4, 8), "Embedding with torch.float32 weights"),
        (nn.Conv3d(8, 8, 1), "Conv3d with torch.float32 weights"),
        (type("GPTQ", (nn.Module,), {"qweight": torch.zeros(2, dtype=torch.int32)})(), "GPTQ with torch.int32 weights"),
        (plain(torch.float8_e4m3fn), "Linear with torch.float8_e4m3fn weights"),
    ],
)
def test_unsupported_layers_raise_with_their_type(layer, text):
    with pytest.raises(TypeError, match=f"layer 'a' is a {text}.*nn.Linear.*exclude_modules"):
        linear_shape(layer, "a")
    with pytest.raises(TypeError, match=type(layer).__name__):
        float_weight(layer)


@pytest.mark.parametrize("kind", ["8bit", "4bit", "torchao"])
def test_models_that_transformers_quantised_while_loading(kind, tmp_path, error):
    package = pytest.importorskip("torchao.quantization" if kind == "torchao" else "bitsandbytes")
    build = getattr(package, "Int8WeightOnlyConfig", None)
    config = TorchAoConfig(build()) if build else BitsAndBytesConfig(**{f"load_in_{kind}": True})
    source = BertModel(BertConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64))
    source.save_pretrained(tmp_path)
    layer = BertModel.from_pretrained(tmp_path, quantization_config=config).encoder.layer[0].attention.self.value
    assert is_quantized(layer) and linear_shape(layer, "value") == (64, 64)
    assert 0 < error(float_weight(layer), source.encoder.layer[0].attention.self.value.weight) < 0.15
    set_weight(layer, stored_weight(layer, torch.eye(64), "value"))
    assert error(float_weight(layer), torch.eye(64)) < 0.01
