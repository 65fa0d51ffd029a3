"""Folding in the adapted layer: it changes no output or gradient, and it is not used in some cases."""

import pytest
import torch
from torch import nn

from circpeft import C3AConfig, inject, use_backend
from circpeft.hf_peft.layer import C3ALinear

X = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(3))


def model(**options):
    torch.manual_seed(0)
    config = C3AConfig(**{"target_modules": ["0"], "init_weights": False, "alpha": 20.0, "block_size": 4, **options})
    return inject(nn.Sequential(nn.Linear(8, 12)), config)


def outputs(adapted, backend, x=X):
    x = x.clone().requires_grad_()
    with use_backend(backend):
        y = adapted(x)
        grads = torch.autograd.grad(y.square().sum(), (x, *(p for p in adapted.parameters() if p.requires_grad)))
    return y, *grads


@pytest.fixture
def folded(monkeypatch):
    """Count how often an adapter has folded."""
    calls, decide = [], C3ALinear._folds
    monkeypatch.setattr(C3ALinear, "_folds", staticmethod(lambda *given: calls.append(decide(*given)) or calls[-1]))
    return lambda: sum(calls)


@pytest.mark.parametrize("layout", ["row", "column"])
@pytest.mark.parametrize("bias", [False, True])
def test_folding_gives_the_same_outputs_and_gradients(folded, error, layout, bias):
    adapted = model(layout=layout)
    adapted[0].base_layer.bias.requires_grad_(bias)
    apart = outputs(adapted, "rfft")
    assert folded() == 0
    for value, true in zip(outputs(adapted, "auto"), apart, strict=True):
        assert error(value, true) < 1e-5
    assert folded() == 1


def test_few_tokens_half_precision_and_autocast_do_not_fold(folded):
    adapted = model()
    adapted(X[0, :2])
    model().to(torch.bfloat16)(X.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        adapted(X)
    assert folded() == 0


def test_two_adapters_dropout_and_a_disabled_one_do_not_fold(folded, error):
    adapted = model()
    one = adapted(X)
    inject(adapted, C3AConfig(target_modules=["0"], init_weights=False, alpha=20.0), "other")
    adapted[0].set_adapter(["default", "other"])
    both = adapted(X)
    assert folded() == 1 and error(both, one) > 0.01
    adapted[0].enable_adapters(False)
    torch.testing.assert_close(adapted(X), adapted[0].base_layer(X))
    dropped = model(dropout=0.5)
    dropped.train()(X)
    assert folded() == 1
    dropped.eval()(X)
    assert folded() == 2


def test_a_base_layer_with_hooks_is_called(folded):
    adapted, seen = model(), []
    adapted[0].base_layer.register_forward_hook(lambda module, args, output: seen.append(output))
    adapted(X)
    assert folded() == 0 and len(seen) == 1


def test_a_merged_layer_is_only_the_base_layer(folded):
    adapted = model()
    before = adapted(X)
    adapted[0].merge()
    torch.testing.assert_close(adapted(X), before)
    assert folded() == 1


def test_at_a_zero_start_the_output_is_the_frozen_layers_bit_for_bit(folded):
    adapted = model(init_weights=True)
    assert torch.equal(adapted(X), adapted[0].base_layer(X)) and folded() == 1
