"""The change of fused experts: its values and gradients in every implementation of the experts."""

import copy

import peft
import pytest
import torch
from torch import nn

import circpeft
from circpeft.hf_peft.expert_weight import ExpertWeight

from .moe_models import (
    CONFIGS,
    SCALES,
    adapted,
    config,
    layers,
    moe,
    tokens,
    with_dense_change,
)


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize(
    ("kind", "implementation"),
    [(kind, i) for kind in ("mixtral", "qwen3_moe", "gpt_oss") for i in ("eager", "batched_mm", "grouped_mm")]
    + [("llama4", "eager")],
)
def test_every_implementation_has_the_change(kind, implementation, method):
    # torch has no grouped product in float64
    dtype = torch.float32 if implementation == "grouped_mm" else torch.float64
    base = moe(kind, implementation, dtype)
    model = adapted(copy.deepcopy(base), method)
    tolerance = 2e-4 if dtype == torch.float32 else 1e-6  # the norms of these models compute in float32
    outputs = model(tokens()).logits
    torch.testing.assert_close(outputs, with_dense_change(base, model)(tokens()).logits, rtol=tolerance, atol=tolerance)
    assert (outputs - base(tokens()).logits).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_the_grouped_product_for_older_versions_of_torch_on_a_cpu_has_the_change_and_dropout(kind, monkeypatch):
    experts_of_transformers = pytest.importorskip("transformers.integrations.moe")
    monkeypatch.setattr(experts_of_transformers, "is_torch_less_or_equal", lambda *version, **accept: True)
    base = moe(kind, "grouped_mm", torch.float32)
    model = adapted(copy.deepcopy(base), "c3a", dropout=0.5)
    outputs = model(tokens()).logits
    torch.testing.assert_close(outputs, with_dense_change(base, model)(tokens()).logits, rtol=2e-4, atol=2e-4)
    model.train()
    assert not torch.equal(model(tokens()).logits, model(tokens()).logits)


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize(
    ("kind", "implementation"), [("mixtral", "eager"), ("gpt_oss", "batched_mm"), ("llama4", "eager")]
)
def test_experts_match_the_dense_reference_in_float64(kind, implementation, method):
    model = adapted(moe(kind, implementation), method)
    layer = next(iter(layers(model).values()))
    x = torch.randn(8, 32, dtype=torch.float64, requires_grad=True)
    routing = torch.randn(8, 4, dtype=torch.float64).softmax(-1).topk(2)
    inputs = (x,) if kind == "llama4" else (x, routing.indices, routing.values)
    kernels = list(layer.adapters["default"].parameters())
    outputs = layer(*inputs)
    gradients = torch.autograd.grad(outputs.square().sum(), [x, *kernels])

    base = layer.get_base_layer()
    weights = {w: getattr(base, w).detach() + layer.get_delta_weight("default", w) for w in layer.shapes}
    reference = torch.func.functional_call(base, weights, inputs)
    expected = torch.autograd.grad(reference.square().sum(), [x, *kernels])
    torch.testing.assert_close(outputs, reference, rtol=1e-10, atol=1e-10)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize("implementation", ["eager", "batched_mm"])
def test_gradcheck(implementation, method):
    model = adapted(moe("mixtral", implementation), method, block_size=16, target_modules=[])
    layer = next(iter(layers(model).values()))
    names = [name for name, _ in layer.named_parameters() if "adapters" in name]
    values = [layer.get_parameter(name).detach().requires_grad_() for name in names]
    x = torch.randn(3, 32, dtype=torch.float64, requires_grad=True)
    index, weight = torch.tensor([[0, 3], [3, 1], [0, 1]]), torch.full((3, 2), 0.5, dtype=torch.float64)

    def experts(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, index, weight))

    assert torch.autograd.gradcheck(experts, (x, *values), fast_mode=True)


@pytest.mark.parametrize(("kind", "shapes"), [("mixtral", ((32, 96), (48, 32))), ("gpt_oss", ((32, 48), (24, 32)))])
def test_delta_is_the_methods_formula_of_each_experts_matrix(kind, shapes):
    model = adapted(moe(kind), "c3a")
    layer = next(iter(layers(model).values()))
    for weight, (d_in, d_out) in zip(("gate_up_proj", "down_proj"), shapes, strict=True):
        kernel = getattr(layer.adapters["default"], f"{weight}_kernel")
        assert kernel.shape == (4, d_out // 8, d_in // 8, 8)
        expected = SCALES["c3a"] / d_in * circpeft.block_circulant(kernel[2], layout="row")
        delta = layer.get_delta_weight("default", weight)
        assert delta.shape == getattr(layer.get_base_layer(), weight).shape
        torch.testing.assert_close(delta[2], expected.T if kind == "gpt_oss" else expected)


def test_a_change_below_the_precision_of_a_bfloat16_weight_is_computed():
    base = moe("mixtral", dtype=torch.bfloat16)
    model = peft.get_peft_model(copy.deepcopy(base), config("c3a", alpha=0.02, target_modules=[])).eval()
    layer = next(iter(layers(model).values()))
    assert {p.dtype for p in layer.adapters.parameters()} == {torch.float32}
    x = torch.randn(1, 32, dtype=torch.bfloat16)
    index, weight = torch.tensor([[2]]), torch.ones(1, 1, dtype=torch.bfloat16)
    layer.base_layer.act_fn = nn.Identity()
    with torch.no_grad():
        gate_up = layer.base_layer.gate_up_proj
        change = layer.get_delta_weight("default", "gate_up_proj")
        # Elements of the weight round the change away.
        assert ((gate_up.float() + change).to(torch.bfloat16) == gate_up).float().mean() > 0.5
    layer(x, index, weight).float().sum().backward()
    gradient = layer.adapters["default"].gate_up_proj_kernel.grad
    assert gradient[2].abs().max() > 0
    assert not gradient[[0, 1, 3]].any()
    with pytest.warns(UserWarning, match=r"merging into torch.bfloat16 keeps .* of ΔW in .*experts.gate_up_proj"):
        circpeft.merge(model)


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm"])
def test_autocast_gives_the_outputs_and_gradients_of_float32_but_for_rounding(implementation, method):
    layer = next(iter(layers(adapted(moe("mixtral", implementation, torch.float32), method)).values()))
    x, routing = torch.randn(8, 32), torch.randn(8, 4).softmax(-1).topk(2)
    kernels = list(layer.adapters["default"].parameters())
    results = []
    for rounded in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            outputs = layer(x, routing.indices, routing.values)
        results.append([outputs.float(), *torch.autograd.grad(outputs.float().square().sum(), kernels)])
    for exact, value in zip(*results, strict=True):
        assert value.dtype == torch.float32
        error = (value - exact).norm() / exact.norm()
        assert error < 0.02 and (error > 0 or implementation == "grouped_mm")  # autocast does not round that product


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_gradient_checkpointing(reentrant):
    gradients = []
    for checkpointing in (False, True):
        model = adapted(moe("mixtral"), "cdvft").train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            model.enable_input_require_grads()
        model(tokens(), labels=tokens()).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_dropout_and_unknown_operations():
    model = adapted(moe("mixtral"), "c3a", dropout=0.5, target_modules=[]).train()
    layer = next(iter(layers(model).values()))
    x, index = torch.randn(5, 32, dtype=torch.float64), torch.zeros(5, 1, dtype=torch.long)
    weight = torch.ones(5, 1, dtype=torch.float64)
    assert not torch.equal(layer(x, index, weight), layer(x, index, weight))
    experts = layer.get_base_layer()
    sums = {}

    def other(*args):
        sums["weight"] = torch.einsum("eoi->o", experts.gate_up_proj)
        return args[0]

    experts.forward = other
    with pytest.raises(RuntimeError, match="dropout=0.5 cannot be applied"):
        layer(x)
    model.eval()
    layer(x)
    dense = experts.gate_up_proj + layer.get_delta_weight("default", "gate_up_proj")
    torch.testing.assert_close(sums["weight"], dense.sum((0, 2)))
    assert "gate_up_proj" not in vars(experts)


def test_compiled_models_have_the_change():
    model = adapted(moe("mixtral"), "c3a")
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(tokens()).logits, model(tokens()).logits, rtol=1e-6, atol=1e-6)


def test_torch_func_differentiates_by_the_kernels():
    model = adapted(moe("mixtral"), "c3a")
    kernels = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    def loss(values):
        return torch.func.functional_call(model, values, (tokens(),), {"labels": tokens()}).loss

    gradients = torch.func.grad(loss)(kernels)
    model(tokens(), labels=tokens()).loss.backward()
    for name, p in model.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(gradients[name], p.grad, msg=name)


@pytest.mark.parametrize("chosen", [None, 2, torch.tensor([1, 0, 1, 3, 3])], ids=str)
@pytest.mark.parametrize("flipped", [False, True])
def test_the_shape_of_chosen_experts_is_known_without_copying_them(chosen, flipped):
    class Uncopied(torch.Tensor):
        """A weight that cannot be indexed."""

        def __getitem__(self, index):
            raise AssertionError("copied")

    weight = torch.randn(4, 6, 8)
    stand_in = ExpertWeight(lambda: weight.as_subclass(Uncopied), [], "up", False, chosen, flipped)
    expected = weight if chosen is None else weight[chosen]
    assert stand_in.shape == (expected.mT if flipped else expected).shape and len(stand_in) == stand_in.shape[0]
