"""A layer follows every change of its state at the next call, and a call costs few Python functions."""

import copy
import sys
from types import MethodType

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from circpeft import C3AConfig, CDVFTConfig, inject, use_backend
from circpeft.hf_peft.layer import C3ALinear, CDVFTLinear

CONFIGS = {C3ALinear: C3AConfig, CDVFTLinear: CDVFTConfig}
every_method = pytest.mark.parametrize("method", CONFIGS.values(), ids=lambda config: config.__name__)
ROWS = {"few": 3, "many": 64}  # with many, C3A folds


def adapted(method, **options):
    return inject(nn.Sequential(nn.Linear(16, 8)), method(**{"target_modules": ["0"], **OPTIONS, **options}))


OPTIONS = {"init_weights": False, "block_size": 8, "alpha": 4.0}


def expected(layer, x):
    """Return the layer's output from what its parts are now: dense weights, and hooks that double or negate."""
    y = nn.functional.linear(x, layer.base_layer.weight, layer.base_layer.bias)
    y = 2 * y if layer.base_layer._forward_hooks else y
    if layer.disable_adapters or layer.merged_adapters:
        return y
    for name in layer.active_adapters:
        if name in layer.adapters:
            sign = -1 if layer.adapters[name]._forward_hooks or "forward" in layer.adapters[name].__dict__ else 1
            y = y + sign * (x.to(layer.get_delta_weight(name).dtype) @ layer.get_delta_weight(name).T).to(y.dtype)
    return y


def replace_parameter(layer):
    adapter = layer.adapters["default"]
    name, old = next(iter(adapter.named_parameters()))
    setattr(adapter, name, nn.Parameter(torch.randn_like(old)))


def replace_base(layer):
    layer.base_layer = nn.Linear(16, 8)


def replace_forward(layer):
    adapter = layer.adapters["default"]
    adapter.forward = MethodType(lambda self, x, base=None: -type(self).forward(self, x), adapter)


def replace_adapter(layer):
    layer.adapters["default"] = copy.deepcopy(layer.adapters["other"])


CHANGES = {
    "scale": lambda layer: layer.set_scale("default", -0.5),
    "alpha": lambda layer: setattr(layer.adapters["default"], "alpha", 9.0),
    "another active": lambda layer: layer.set_adapter("other"),
    "both active": lambda layer: layer.set_adapter(["default", "other"]),
    "none active": lambda layer: layer.set_adapter([]),
    "disabled": lambda layer: layer.enable_adapters(False),
    "merged": lambda layer: layer.merge(),
    "merged and disabled": lambda layer: (layer.merge(), layer.enable_adapters(False)),
    "merged and back": lambda layer: (layer.merge(), layer.unmerge()),
    "deleted": lambda layer: layer.delete_adapter("default"),
    "values": lambda layer: next(layer.adapters["default"].parameters()).data.normal_(),
    "new parameter": replace_parameter,
    "new base layer": replace_base,
    "new adapter": replace_adapter,
    "base weight": lambda layer: layer.base_layer.weight.data.neg_(),
    "float64": lambda layer: layer.double(),
    "float64 base": lambda layer: layer.base_layer.double(),
    "bfloat16 base": lambda layer: layer.base_layer.bfloat16(),
    "hook on the base": lambda layer: layer.base_layer.register_forward_hook(lambda module, args, y: 2 * y),
    "hook on the adapter": lambda layer: layer.adapters["default"].register_forward_hook(lambda module, args, y: -y),
    "new forward": replace_forward,
    "no bias": lambda layer: layer.base_layer.register_parameter("bias", None),
}


@every_method
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.filterwarnings("ignore:Adapter default was active:UserWarning")
@pytest.mark.filterwarnings("ignore:merging into:UserWarning")
def test_a_change_counts_from_the_next_call(method, rows, change, error):
    model = adapted(method)
    inject(model, method(**{"target_modules": ["0"], **OPTIONS, "block_size": 4}), "other")
    layer, x = model[0], torch.randn(ROWS[rows], 16)
    layer.set_adapter("default")
    before = layer(x)
    assert error(before, expected(layer, x)) < 1e-5
    CHANGES[change](layer)
    x = x.to(layer.base_layer.weight.dtype)
    y = layer(x)
    assert y.dtype == x.dtype and error(y, expected(layer, x)) < (0.01 if y.dtype == torch.bfloat16 else 1e-5)
    if change not in ("merged", "merged and back", "float64", "float64 base", "bfloat16 base"):
        assert error(y, before) > 0.01  # the change matters


@every_method
def test_dropout_counts_from_the_next_call(method, error):
    layer, x = adapted(method, dropout=0.5)[0], torch.randn(64, 16)
    kept = layer.eval()(x)
    assert error(kept, expected(layer, x)) < 1e-5
    assert error(layer.train()(x), kept) > 0.01
    layer.adapters["default"].dropout.p = 0.0
    assert error(layer(x), kept) < 1e-5


@every_method
def test_autocast_backends_and_new_shapes_count_from_the_next_call(method, error):
    layer, x = adapted(method)[0], torch.randn(64, 16)
    for rows in ((64,), (3,), (2, 32), (0,), (64,), ()):
        part = torch.randn(*rows, 16)
        assert layer(part).shape == (*rows, 8) and (
            not part.numel() or error(layer(part), expected(layer, part)) < 1e-5
        )
    for backend in ("reference", "rfft", "fold", "leaf", "auto"):
        with use_backend(backend):
            assert error(layer(x), expected(layer, x)) < 1e-5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(x)
    assert half.dtype == torch.bfloat16 and error(half, layer(x)) < 0.01 and layer(x).dtype == torch.float32


@every_method
def test_a_wrong_input_is_refused_after_a_right_one(method):
    layer = adapted(method)[0]
    layer(torch.randn(3, 16))
    for wrong in (torch.randn(3, 15), torch.randn(3, 16, device="meta"), torch.randn(3, 16).int()):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            layer(wrong)
    adapter = layer.adapters["default"]
    x, base = torch.randn(3, 16), torch.randn(3, 8)
    adapter(x, base)
    with pytest.raises(ValueError, match=r"base of shape \(2, 8\)"):
        adapter(x, base[:2])
    with pytest.raises(TypeError, match="x must be real floating point"):
        adapter(x.int(), base)
    with pytest.raises(ValueError, match="base on meta"):
        adapter(x, base.to("meta"))
    with use_backend("auto"):
        adapter(x, base)


def python_calls(call):
    """Return how many Python functions a call enters, after two calls in which things are decided once."""
    call(), call()
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count


@every_method
def test_python_functions_of_a_call(method):
    base, x, g = (
        nn.Linear(64, 64).requires_grad_(False),
        torch.randn(2, 8, 64, requires_grad=True),
        torch.randn(2, 8, 64),
    )
    lora = inject_adapter_in_model(LoraConfig(r=8, target_modules=["0"]), nn.Sequential(copy.deepcopy(base)))[0]
    ours = inject(nn.Sequential(copy.deepcopy(base)), method(target_modules=["0"], block_size=64))[0]

    def added(layer, backward):
        def step(layer):
            return lambda: layer(x).backward(g) if backward else layer(x)

        return python_calls(step(layer)) - python_calls(step(base))

    with use_backend("rfft"):
        assert added(ours, backward=False) <= 1.75 * added(lora, backward=False)
        assert added(ours, backward=True) <= 3 * added(lora, backward=True)
    assert added(ours, backward=False) <= added(lora, backward=False)
    assert added(ours, backward=True) <= added(lora, backward=True)
