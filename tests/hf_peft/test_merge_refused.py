"""Layers with a forward of their own take an adapter but no merge; layers with a computed weight take no adapter."""

import warnings

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from torch import nn
from torch.ao.nn import qat
from torch.ao.quantization import get_default_qat_qconfig
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

from circpeft import inject, merge
from circpeft.hf_peft.base_forward import merge_obstacle


class ScaledInput(nn.Linear):
    def forward(self, x):
        return super().forward(x * 0.25)


class Ternary(nn.Linear):
    """As in BitNet: weights of -1, 0 and 1 times a scale, and inputs of 8 bits."""

    def forward(self, x):
        scale, size = self.weight.abs().mean(), x.abs().amax(-1, keepdim=True) / 127
        return F.linear((x / size).round() * size, (self.weight / scale).round().clamp(-1, 1) * scale, self.bias)


class Centred(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight - self.weight.mean(1, keepdim=True), self.bias)


class Remembered(nn.Linear):
    """Its forward reads a copy of the weight, as it was when the layer was built."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("first", self.weight.detach().clone())

    def forward(self, x):
        return F.linear(x, self.first, self.bias)


class ScaledConv(Conv1D):
    def forward(self, x):
        return 2 * super().forward(x)


class InDouble(nn.Linear):
    def forward(self, x):
        return F.linear(x.double(), self.weight.double(), self.bias.double()).to(x.dtype)


class Rows(nn.Linear):
    def forward(self, x):
        rows, _ = x.shape
        return super().forward(x).reshape(rows, -1)


class Renamed(nn.Linear):
    pass


class RenamedConv(Conv1D):
    pass


def fake_quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = qat.Linear(16, 16, qconfig=get_default_qat_qconfig("fbgemm"))
    layer(torch.randn(64, 16))  # it has seen its range
    return layer


def with_hook(hook, before=False):
    layer = nn.Linear(16, 16)
    (layer.register_forward_pre_hook if before else layer.register_forward_hook)(hook)
    return layer


def with_forward(forward):
    layer = nn.Linear(16, 16)
    original = layer.forward
    layer.forward = lambda x: forward(original, x)
    return layer


OWN_FORWARD = {
    "ternary": lambda: Ternary(16, 16),
    "qat.Linear": fake_quantised,
    "scaled input": lambda: ScaledInput(16, 16),
    "scaled input in bfloat16": lambda: ScaledInput(16, 16, dtype=torch.bfloat16),
    "centred weight": lambda: Centred(16, 16),
    "copy of the weight": lambda: Remembered(16, 16),
    "scaled Conv1D": lambda: ScaledConv(16, 16),
    "replaced forward": lambda: with_forward(lambda original, x: original(x.round())),
    "hook on the output": lambda: with_hook(lambda module, args, output: 2 * output),
    "hook on the input": lambda: with_hook(lambda module, args: (args[0].clamp(-1, 1),), before=True),
}
LINEAR = {
    "nn.Linear": lambda: nn.Linear(16, 16),
    "same forward": lambda: Renamed(16, 16),
    "same Conv1D": lambda: RenamedConv(16, 16),
    "Falcon": lambda: FalconLinear(16, 16),
    "Falcon in bfloat16": lambda: FalconLinear(16, 16, dtype=torch.bfloat16),
    "other precision": lambda: InDouble(16, 16),
    "rows only": lambda: Rows(16, 16),
    "forward that calls the original": lambda: with_forward(lambda original, x: original(x)),
    "hook that only reads": lambda: with_hook(lambda module, args, output: None),
}
SPECIAL = {
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "pruned twice": lambda layer: prune.random_unstructured(prune.l1_unstructured(layer, "weight", 0.5), "weight", 0.5),
    "pruned by rows": lambda layer: prune.ln_structured(layer, "weight", 0.25, n=2, dim=0),
    "old weight_norm": nn.utils.weight_norm,
    "old spectral_norm": nn.utils.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}
REMEDIES = {"pruned": "prune.remove", "old": "remove_{}", "": "parametrize.remove_parametrizations"}


def remedy(kind):
    key = kind.split()[0]
    return REMEDIES.get(key, REMEDIES[""]).format(kind.split()[-1])


def model(first):
    return nn.Sequential(nn.Linear(16, 16), nn.Tanh(), first).eval()


@pytest.mark.parametrize("kind", OWN_FORWARD)
@pytest.mark.parametrize("how", ["merge", "merge in float64", "merge_and_unload", "merge_adapter", "one layer"])
def test_a_layer_with_a_forward_of_its_own_takes_an_adapter_and_no_merge(method, kind, how):
    layer = OWN_FORWARD[kind]()
    config = method(target_modules=["0", "2"], block_size=8)
    if how in ("merge_and_unload", "merge_adapter"):
        whole = get_peft_model(model(layer), config)
        net = whole.base_model.model
    else:
        whole = net = inject(model(layer), config)
    x = torch.randn(3, 16, dtype=layer.weight.dtype)
    torch.testing.assert_close(net[2](x), layer(x) + net[2].adapters["default"](x))
    modules, weights = list(net.named_modules()), [net[i].base_layer.weight.clone() for i in (0, 2)]
    with pytest.raises(ValueError, match=rf"nothing is merged: layer '2' \({type(layer).__name__}\).*exclude_modules"):
        {
            "merge": lambda: merge(whole),
            "merge in float64": lambda: merge(whole, dtype=torch.float64),
            "merge_and_unload": lambda: whole.merge_and_unload(),
            "merge_adapter": lambda: whole.merge_adapter(),
            "one layer": lambda: net[2].merge(),
        }[how]()
    assert list(net.named_modules()) == modules and not net[0].merged and not net[2].merged
    assert all(torch.equal(net[i].base_layer.weight, w) for i, w in zip((0, 2), weights, strict=True))


@pytest.mark.parametrize("kind", LINEAR)
def test_a_layer_that_computes_what_linear_does_is_merged(method, kind, error):
    layer = LINEAR[kind]().eval()
    dtype = layer.weight.dtype
    net = inject(nn.Sequential(layer), method(target_modules=["0"], block_size=8))
    x = torch.randn(3, 16, dtype=dtype)
    before, state = net(x), torch.get_rng_state()
    with warnings.catch_warnings(action="ignore"):
        merged = merge(net)
    assert torch.equal(torch.get_rng_state(), state), "the comparison draws no numbers of the user's generator"
    assert merged[0] is layer and error(merged(x), before) < (1e-5 if dtype == torch.float32 else 0.02)


def test_the_comparison_leaves_the_layer_as_it_was():
    for make in (fake_quantised, OWN_FORWARD["replaced forward"]):
        layer = make().train()
        weight, before = layer.weight, {key: value.clone() for key, value in layer.state_dict().items()}
        assert merge_obstacle(layer)
        assert layer.weight is weight and layer.training
        assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_a_layer_of_one_weight_is_compared_too():
    layer = nn.Linear(1, 1)
    layer.register_forward_hook(lambda module, args, output: None)
    assert merge_obstacle(layer) is None


def test_an_unmergeable_layer_without_an_active_adapter_does_not_stop_a_merge(method):
    net = inject(model(ScaledInput(16, 16)), method(target_modules=["2"], block_size=8), "other")
    inject(net, method(target_modules=["0"], block_size=8))
    x = torch.randn(3, 16)
    before = net(x)
    torch.testing.assert_close(merge(net)(x), before)


def test_a_layer_with_a_forward_of_its_own_is_called(method):
    net, x = inject(model(ScaledInput(16, 16)), method(target_modules=["2"], block_size=8)), torch.randn(256, 16)
    assert not net[2]._joins(x, net[2].base_layer, *net[2]._active())
    torch.testing.assert_close(net[2](x), net[2].base_layer(x) + net[2].adapters["default"](x))


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("how", [inject, lambda net, config: get_peft_model(net, config)], ids=["inject", "peft"])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_computed_weight_is_refused_before_anything_changes(method, kind, how):
    net = model(SPECIAL[kind](nn.Linear(16, 16)))
    modules = list(net.named_modules())
    with pytest.raises(TypeError, match=rf"layer '2' .*{remedy(kind)}.*exclude_modules"):
        how(net, method(target_modules=["0", "2"], block_size=8))
    assert list(net.named_modules()) == modules


def test_a_computed_weight_of_conv1d_is_refused(method):
    with pytest.raises(TypeError, match="'2'.*remove_parametrizations"):
        inject(model(parametrizations.weight_norm(Conv1D(16, 16))), method(target_modules=["2"], block_size=8))


def test_a_weight_pruned_after_the_injection_is_not_merged(method):
    net = inject(model(nn.Linear(16, 16)), method(target_modules=["0", "2"], block_size=8))
    prune.l1_unstructured(net[2].base_layer, "weight", 0.5)
    with pytest.raises(ValueError, match="layer '2'.*pruning: .*torch.nn.utils.prune.remove"):
        merge(net)
    assert not net[0].merged
    prune.remove(net[2].base_layer, "weight")
    x = torch.randn(3, 16)
    before = net(x)
    torch.testing.assert_close(merge(net)(x), before)


def test_a_computed_bias_is_accepted(method):
    class Doubled(nn.Module):
        def forward(self, bias):
            return 2 * bias

    layer = nn.Linear(16, 16)
    parametrize.register_parametrization(layer, "bias", Doubled())
    net, x = inject(model(layer), method(target_modules=["2"], block_size=8)), torch.randn(3, 16)
    before = net(x)
    torch.testing.assert_close(merge(net)(x), before)


@pytest.mark.parametrize("how", ["merge", "merge_and_unload", "merge_adapter"])
@pytest.mark.parametrize("state", ["disabled", "inactive"])
def test_adapters_that_do_not_act_are_not_merged(method, tiny, how, state):
    net = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    if state == "disabled":
        net.base_model.disable_adapter_layers()
    else:
        net.base_model.model[0].set_adapter([])
    text = {"disabled": "adapters are disabled", "inactive": "activate one of default"}
    with pytest.raises(ValueError, match=f"nothing is merged: .*{text[state]}"):
        merge(net) if how == "merge" else getattr(net, how)()
    assert not net.base_model.model[0].merged


@pytest.mark.parametrize("how", ["merge_and_unload", "merge_adapter"])
def test_an_unknown_adapter_name_is_refused(method, tiny, how):
    net = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    with pytest.raises(ValueError, match="Adapter defualt does not exist.*'default'"):
        getattr(net, how)(adapter_names=["defualt"])
    assert not net.base_model.model[0].merged


def test_prompts_have_nothing_to_merge(tiny):
    net = get_peft_model(tiny.gpt2(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(ValueError, match="PROMPT_TUNING does not change weights"):
        merge(net)
