"""Quantised layers without the packages that quantise them: stand-ins have the types and settings that are read."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from circpeft import inject, merge
from circpeft.hf_peft.base_weights import float_weight, is_quantized, keep_trainable, linear_shape, stored_weight
from circpeft.hf_peft.layer import CirculantLayer

D_IN, D_OUT = 8, 4
KINDS = [
    ("bitsandbytes.nn.modules", "Linear8bitLt", True),
    ("bitsandbytes.nn.modules", "Linear4bit", True),
    ("bitsandbytes.nn.modules", "OutlierAwareLinear", False),
    ("bitsandbytes_of_others.nn", "Linear4bit", False),
    ("mine", "Linear8bitLt", False),
]


@pytest.mark.parametrize(("package", "name", "quantised"), KINDS)
def test_layers_of_bitsandbytes_and_their_subclasses_are_known_by_their_types(package, name, quantised):
    made = type(name, (nn.Linear,), {"__module__": package})
    for cls in (made, type("LinearNF4", (made,), {"__module__": "mine"})):
        layer = cls(D_IN, D_OUT)
        assert is_quantized(layer) == quantised and linear_shape(layer, "x") == (D_IN, D_OUT)
        keep_trainable(layer, "x")
        # An evaluation on a CPU would repack the codes of four bits.
        assert hasattr(layer, "support_avx512bf16_for_cpu") == (quantised and name == "Linear4bit")


def torchao_layer(kind, **settings):
    """A linear layer whose weight has a type of torchao; its values are not rounded."""
    members = {"__module__": "torchao.quantization", "dequantize": lambda self: torch.tensor(self.tolist())}
    cls = type(kind, (torch.Tensor,), members | settings)
    layer = nn.Linear(D_IN, D_OUT)
    layer.weight = nn.Parameter(layer.weight.detach().as_subclass(cls), requires_grad=False)
    return layer


def test_a_merge_is_refused_before_the_first_layer_if_the_last_cannot_be_quantised_again(method):
    model = nn.Sequential(nn.Linear(D_IN, D_IN), torchao_layer("Int4Tensor"))
    model = inject(model, method(target_modules=["0", "1"]))
    weights = [layer.base_layer.weight for layer in model]
    for call in (merge, lambda model: model[1].merge()):
        with pytest.raises(ValueError, match=r"layer '1' is quantised by torchao \(Int4Tensor\).*dtype=torch.bfloat16"):
            call(model)
        for layer, weight in zip(model, weights, strict=True):
            assert isinstance(layer, CirculantLayer) and layer.base_layer.weight is weight and not layer.merged


def test_a_merge_into_floats_needs_no_quantisation(method, error):
    model = nn.Sequential(nn.Linear(D_IN, D_IN), torchao_layer("Int4Tensor"))
    model, x = inject(model, method(target_modules=["0", "1"])), torch.randn(3, D_IN)
    sums = [float_weight(layer.base_layer) + layer.get_delta_weight("default").detach() for layer in model]
    merged = merge(model, dtype=torch.float64)
    for layer, expected in zip(merged, sums, strict=True):
        assert type(layer) is nn.Linear and type(layer.weight) is nn.Parameter and error(layer.weight, expected) < 1e-6
    assert merged(x.double()).dtype == torch.float64


INT8 = {"act_quant_kwargs": "of inputs", "reduce_range": True}
FLOAT8 = {"mm_config": "of products", "kernel_preference": "fast", "act_quant_kwargs": None}
E5M2 = {"qdata": torch.zeros(1, dtype=torch.float8_e5m2)}


@pytest.fixture
def quantization(monkeypatch):
    """What circpeft imports of torchao: each granularity is a tuple of its name and its arguments."""
    module = ModuleType("torchao.quantization")
    for name in ("PerGroup", "PerRow", "PerTensor"):
        setattr(module, name, lambda *size, name=name: (name, *size))
    monkeypatch.setitem(sys.modules, "torchao.quantization", module)


@pytest.mark.parametrize(
    ("kind", "block", "given", "asked"),
    [
        ("Int8Tensor", (1, D_IN), INT8, {"granularity": ("PerRow",), **INT8}),
        ("Int8Tensor", (1, 2), INT8, {"granularity": ("PerGroup", 2), **INT8}),
        ("Int8Tensor", (D_OUT, D_IN), {**INT8, **E5M2}, {"granularity": ("PerTensor",), **INT8}),
        ("Int8Tensor", (1, D_IN), {"zero_point": torch.zeros(4)}, {"granularity": ("PerRow",)}),
        (
            "Float8Tensor",
            (1, D_IN),
            {**FLOAT8, **E5M2, "reduce_range": True},
            {"granularity": ("PerRow",), **FLOAT8, "float8_dtype": torch.float8_e5m2},
        ),
    ],
)
def test_a_weight_of_torchao_is_quantised_again_by_its_own_settings(quantization, kind, block, given, asked):
    calls = []

    def from_hp(cls, weight, **options):
        calls.append((cls.__name__, weight, options))
        return weight + 1

    layer = torchao_layer(kind, block_size=block, from_hp=classmethod(from_hp), **given)
    weight = torch.randn(D_OUT, D_IN)
    parameter = stored_weight(layer, weight, "x")
    [(name, quantised, options)] = calls
    assert (name, options) == (kind, asked) and torch.equal(quantised, weight)
    assert torch.equal(parameter, weight + 1) and not parameter.requires_grad


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("IntxUnpackedToInt8Tensor", {}),
        ("Int8Tensor", {"block_size": (2, D_IN)}),
        ("Int8Tensor", {"block_size": (D_OUT, 2)}),
        ("Int8Tensor", {"block_size": (1, D_IN), "zero_point": torch.ones(4)}),
        ("Int8Tensor", {"block_size": (1, D_IN), "act_pre_scale": torch.ones(D_IN)}),
    ],
)
def test_a_scheme_that_the_tensor_does_not_keep_is_refused(quantization, kind, settings):
    layer = torchao_layer(kind, **settings)
    with pytest.raises(ValueError, match=rf"layer 'a\.b' is quantised by torchao \({kind}\), which cannot take"):
        stored_weight(layer, torch.zeros(D_OUT, D_IN), "a.b")
