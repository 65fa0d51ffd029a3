"""The layer as one function for both products: it changes no output or gradient, and is used only if nobody watches."""

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from circpeft import C3A, C3AConfig, CDVFTConfig, inject, use_backend
from circpeft.ops import joint

X = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(3))


def model(method=C3AConfig, d_in=8, **options):
    torch.manual_seed(0)
    settings = {"target_modules": ["0"], "init_weights": False, "alpha": 20.0, "block_size": d_in // 2, **options}
    return inject(nn.Sequential(nn.Linear(d_in, d_in // 2 * 3)), method(**settings))


def outputs(adapted, backend, x=X):
    x = x.clone().requires_grad_()
    with use_backend(backend):
        y = adapted(x)
        grads = torch.autograd.grad(y.square().sum(), (x, *(p for p in adapted.parameters() if p.requires_grad)))
    return y, *grads


@pytest.fixture
def joined(monkeypatch):
    """Note how the layer is computed whenever one function computes both products."""
    ways, decide = [], joint._decided
    monkeypatch.setattr(joint, "_decided", lambda *given: ways.append(decide(*given)) or ways[-1])
    return ways


SIZES = {"tiny": 8, "small": 256}  # features


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", [C3AConfig, CDVFTConfig])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [2, 512])
def test_one_function_gives_the_outputs_and_gradients_of_two(joined, error, method, size, bias, rows):
    adapted = model(method, d_in=SIZES[size])
    adapted[0].base_layer.bias.requires_grad_(bias)
    x = torch.randn(rows, SIZES[size])
    apart = outputs(adapted, "reference", x)
    assert joined == ["reference"]
    for value, true in zip(outputs(adapted, "auto", x), apart, strict=True):
        assert error(value, true) < 1e-5
    folds = size == "tiny" or rows == 512 and method is C3AConfig
    assert joined[1:] == ["tiny" if size == "tiny" else "fold" if folds else "rfft"]


def test_half_precision_joins_and_autocast_and_mixed_dtypes_do_not(joined):
    model(d_in=32, block_size=16).to(torch.bfloat16)(torch.randn(3, 32).bfloat16())
    assert joined == ["rfft"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model()(X)
    assert len(joined) == 1


def test_two_adapters_dropout_and_a_disabled_one_do_not_join(joined, error):
    adapted = model()
    one = adapted(X)
    inject(adapted, C3AConfig(target_modules=["0"], init_weights=False, alpha=20.0), "other")
    adapted[0].set_adapter(["default", "other"])
    both = adapted(X)
    assert len(joined) == 1 and error(both, one) > 0.01
    adapted[0].enable_adapters(False)
    torch.testing.assert_close(adapted(X), adapted[0].base_layer(X))
    dropped = model(dropout=0.5)
    dropped.train()(X)
    assert len(joined) == 1
    dropped.eval()(X)
    assert len(joined) == 2


def doubled(module, args, output):
    return 2 * output


class Doubled(C3A):
    def forward(self, x, base=None):
        return base + 2 * super().forward(x)


def replace_by_subclass(layer):
    layer.adapters["default"].__class__ = Doubled


# The first three change the output.
WATCHERS = {
    "a hook of the base layer": lambda layer: layer.base_layer.register_forward_hook(doubled),
    "a hook of the adapter": lambda layer: layer.adapters["default"].register_forward_hook(doubled),
    "a subclass of the adapter": replace_by_subclass,
    "a backward hook": lambda layer: layer.base_layer.register_full_backward_hook(lambda module, *gradients: None),
    "a compiled base layer": lambda layer: layer.base_layer.compile(backend="eager"),
    "a compiled adapter": lambda layer: layer.adapters["default"].compile(backend="eager"),
    "a hook of all modules": lambda layer: register_module_forward_hook(lambda module, args, output: None),
}


@pytest.mark.parametrize("watcher", WATCHERS)
def test_what_somebody_watches_is_called(joined, watcher, error):
    adapted = model()
    plain = adapted(X)
    handle = WATCHERS[watcher](adapted[0])
    y = adapted(X)
    if watcher == "a hook of all modules":
        handle.remove()
    assert len(joined) == 1  # before there was a watcher
    changed = watcher in list(WATCHERS)[:3]
    assert error(y, plain) > 0.01 if changed else error(y, plain) < 1e-5


def test_a_merged_layer_is_only_the_base_layer(joined):
    adapted = model()
    before = adapted(X)
    adapted[0].merge()
    torch.testing.assert_close(adapted(X), before)
    assert len(joined) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_at_a_zero_start_the_output_is_the_frozen_layers_bit_for_bit(joined, dtype):
    for method in (C3AConfig, CDVFTConfig):
        adapted = model(method, init_weights=True).to(dtype)
        assert torch.equal(adapted(X.to(dtype)), adapted[0].base_layer(X.to(dtype)))
    assert len(joined) == 2
