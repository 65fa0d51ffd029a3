"""The adapted layer: merge and unmerge, several adapters, dtypes, devices, and the supported base layers."""

import copy
import pickle
import warnings

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from circpeft import C3AConfig, CDVFTConfig, inject
from circpeft.hf_peft.layer import CirculantLayer
from circpeft.hf_peft.merged_layer import warn_of_rounding

MODELS = ["bert", "gpt2"]
TARGETS = {"bert": ["query", "value", "dense"], "gpt2": ["c_attn", "c_proj", "c_fc"]}
models = pytest.mark.parametrize("name", MODELS)


def adapted(tiny, method, name, **options):
    return get_peft_model(getattr(tiny, name)(), method(target_modules=TARGETS[name], **options))


def base_weights(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if "base_layer" in n}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@models
def test_merge_adapter_changes_nothing_and_unmerge_restores_every_bit(tiny, method, name, error):
    model = adapted(tiny, method, name)
    before, weights = tiny.logits(model), base_weights(model)
    assert error(before, tiny.logits(getattr(tiny, name)())) > 0.1, "the adapters must show, or the test proves nothing"
    model.merge_adapter()
    assert not equal(base_weights(model), weights)
    assert error(tiny.logits(model), before) < 1e-5
    model.unmerge_adapter()
    assert equal(base_weights(model), weights) and torch.equal(tiny.logits(model), before)


@models
def test_with_disabled_adapters_the_output_is_the_base_models_bit_for_bit(tiny, method, name):
    model, base = adapted(tiny, method, name), getattr(tiny, name)()
    with model.disable_adapter():
        assert torch.equal(tiny.logits(model), tiny.logits(base))
        assert not any(p.requires_grad for n, p in model.named_parameters() if method.prefix in n)
    assert all(p.requires_grad for n, p in model.named_parameters() if method.prefix in n)
    model.merge_adapter()
    with model.disable_adapter():
        assert torch.equal(tiny.logits(model), tiny.logits(base))


def test_two_active_adapters_are_summed(method, tiny):
    x = torch.randn(5, 8)
    base = tiny.mlp()
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    model.add_adapter("other", method(target_modules=["0"], block_size=2))
    layer = model.base_model.model[0]
    one = layer(x) - base[0](x)
    model.set_adapter("other")
    other = layer(x) - base[0](x)
    model.base_model.set_adapter(["default", "other"])
    torch.testing.assert_close(layer(x), base[0](x) + one + other)
    assert min(one.norm(), other.norm()) > 0.1
    before = model(x)
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged(x), before)
    assert type(merged[0]) is nn.Linear


def test_set_and_delete_adapter(method, tiny):
    x = torch.randn(5, 8)
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    alone = model(x)
    model.add_adapter("other", method(target_modules=["0", "2"]))
    assert torch.equal(model(x), alone), "a further adapter acts only once it is active"
    assert not any(p.requires_grad for n, p in model.named_parameters() if ".other." in n)
    model.set_adapter("other")
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trainable and all(".other." in n for n in trainable) and not torch.equal(model(x), alone)
    model.delete_adapter("other")
    assert not any(".other." in n for n, _ in model.named_parameters())
    model.set_adapter("default")
    assert torch.equal(model(x), alone)


def test_merging_one_of_two_and_then_the_other(method, tiny):
    x = torch.randn(5, 8)
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    model.add_adapter("other", method(target_modules=["0"]))
    model.base_model.set_adapter(["default", "other"])
    both, weights = model(x), base_weights(model)
    model.merge_adapter(["default"])
    with pytest.warns(UserWarning, match="additionally merging other"):
        model.merge_adapter(["other"])
    torch.testing.assert_close(model(x), both)
    model.unmerge_adapter()
    assert equal(base_weights(model), weights)


def test_bfloat16_merge_tells_the_share_that_it_keeps(method, tiny):
    model = get_peft_model(tiny.mlp(torch.bfloat16), method(target_modules=["0"], alpha=1e-3))
    layer = model.base_model.model[0]
    weight, delta = layer.weight.detach().float().clone(), layer.get_delta_weight("default").detach()
    with pytest.warns(UserWarning, match=r"torch.bfloat16 keeps .*% of ΔW in layer '0'") as caught:
        model.merge_adapter()
    kept = float(((layer.weight.float() - weight) * delta).sum() / delta.square().sum())
    assert f"keeps {kept:.1%} of" in str(caught[0].message) and kept < 0.9


@pytest.mark.parametrize(
    ("kept", "warns"), [(1.0, False), (0.991, False), (0.989, True), (1.009, False), (1.011, True)]
)
def test_a_merge_warns_from_a_hundredth_of_the_change_that_is_lost_or_added(kept, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_rounding(kept, torch.bfloat16, "layer '0'")
    assert len(caught) == warns


def test_a_float32_merge_and_a_zero_start_do_not_warn(method, tiny):
    for dtype, options in [(torch.float32, {"alpha": 1e-3}), (torch.bfloat16, {"init_weights": True})]:
        model = get_peft_model(tiny.mlp(dtype), method(target_modules=["0"], **options))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.merge_adapter()


def test_float64_weights_lose_nothing_in_a_merge(method, tiny):
    base = tiny.mlp(torch.float64)
    base[0].weight.data /= 3
    model = get_peft_model(base, method(target_modules=["0"], init_weights=True))
    weights = base_weights(model)
    assert not equal(weights, {n: w.float().double() for n, w in weights.items()})
    model.merge_adapter()
    assert equal(base_weights(model), weights)


def test_kernels_are_float32_in_a_bfloat16_model(method, tiny):
    model = get_peft_model(tiny.bert(torch.bfloat16), method(target_modules=["value"]))
    assert {p.dtype for n, p in model.named_parameters() if method.prefix in n} == {torch.float32}
    assert tiny.logits(model).dtype == torch.bfloat16
    model(tiny.ids).logits.float().square().sum().backward()
    grads = [p.grad for n, p in model.named_parameters() if method.prefix in n]
    assert all(g.dtype == torch.float32 and g.count_nonzero() for g in grads)


def test_safe_merge_raises_for_values_that_are_not_finite(method, tiny):
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    weights = base_weights(model)
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if method.prefix in n).view(-1)[0] = float("nan")
    with pytest.raises(ValueError, match="NaNs.*'0'"):
        model.merge_adapter(safe_merge=True)
    assert equal(base_weights(model), weights)


def test_conv1d_is_adapted_with_its_transposed_weight(method):
    conv, x = Conv1D(12, 8), torch.randn(3, 8)
    model = inject(nn.Sequential(conv), method(target_modules=["0"]))
    layer = model[0]
    assert (layer.d_in, layer.d_out) == (8, 12) and layer.get_delta_weight("default").shape == conv.weight.shape
    torch.testing.assert_close(layer(x), conv(x) + x @ layer.get_delta_weight("default"))


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Embedding(4, 8), "Embedding"),
        (nn.Conv1d(8, 8, 1), "Conv1d"),
        (nn.LayerNorm(8), "LayerNorm"),
        (nn.ReLU(), "ReLU"),
    ],
    ids=str,
)
def test_unsupported_layers_are_named_with_their_type(method, layer, kind):
    with pytest.raises(TypeError, match=f"'1' is a {kind}.*nn.Linear.*exclude_modules"):
        inject(nn.Sequential(nn.Linear(8, 8), layer), method(target_modules=["0", "1"]))


def test_the_projection_inside_multihead_attention_raises(method):
    with pytest.raises(TypeError, match="MultiheadAttention reads the weight of layer 'out_proj'.*exclude_modules"):
        inject(nn.MultiheadAttention(8, 2), method(target_modules=["out_proj"]))


def test_copies_keep_a_merge_that_can_be_undone(method, tiny):
    model = adapted(tiny, method, "bert")
    before, weights = tiny.logits(model), base_weights(model)
    model.merge_adapter()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.unmerge_adapter()
        assert equal(base_weights(other), weights) and torch.equal(tiny.logits(other), before)
    assert not any("before_merge" in key for key in model.state_dict())


def test_a_missing_adapter_is_named(method, tiny):
    layer = get_peft_model(tiny.mlp(), method(target_modules=["0"])).base_model.model[0]
    assert isinstance(layer, CirculantLayer)
    with pytest.raises(ValueError, match="'defualt' not found; this layer has: default"):
        layer.get_delta_weight("defualt")


@pytest.mark.parametrize("config", [C3AConfig, CDVFTConfig])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_no_activation_is_saved(config, mode):
    layer = inject(nn.Sequential(nn.Linear(12, 12)), config(target_modules=["0"], init_weights=False))[0]
    x = torch.randn(3, 12)
    true, kept = layer(x), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t), mode():
        y = layer(x)
    assert torch.equal(y, true.detach()) and y.grad_fn is None and not y.requires_grad and not kept
