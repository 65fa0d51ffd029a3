"""The trainable parameters of each method: their number by its formula, the head trains, the base is frozen."""

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    TrainerState,
)

from circpeft import costs, methods
from circpeft.methods.lamda import FreezeSecondProjections, SquareCore

D, INNER, LAYERS = 32, 64, 2
SIZES = {"hidden_size": D, "num_hidden_layers": LAYERS, "intermediate_size": INNER, "num_attention_heads": 2}
SQUARE, UP, DOWN = (D, D), (D, INNER), (INNER, D)
# Targets -> the layers of the stack that they name, as (d_in, d_out).
TARGETS = {
    ("query", "value"): [SQUARE] * 2 * LAYERS,
    ("intermediate.dense",): [UP] * LAYERS,
    # "dense" is also the name of the pooler's layer
    ("query", "key", "value", "dense"): [SQUARE] * 4 * LAYERS + [UP, DOWN] * LAYERS + [SQUARE],
}


METHODS = list(methods.METHODS)
ADAPTERS = [name for name in METHODS if name not in ("full", "head", "bitfit")]


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=50, num_labels=3, **SIZES))


def lora(d_in: int, d_out: int, r: int = 8) -> int:
    return r * (d_in + d_out)


def c3a(d_in: int, d_out: int, block_size: int = D) -> int:
    return d_in * d_out // block_size


def cdvft(d_in: int, d_out: int, block_size: int = D, num_factors: int = 3) -> int:
    m, n = -(-d_out // block_size), -(-d_in // block_size)
    further = num_factors // 2 - 1
    return d_in + d_out + m * n * block_size + further * (d_out + m * m * block_size)


def ia3(d_in: int, d_out: int) -> int:
    return d_in if d_in > d_out else d_out  # the input is scaled if the output is smaller


def by_costs(method: str):
    return lambda d_in, d_out, **h: costs.parameters(method, d_in, d_out, **h)


CASES = [
    ("ia3", {}, ia3),
    ("dora", {"r": 3}, by_costs("dora")),
    ("vera", {}, by_costs("vera")),
    ("vera", {"r": 40}, by_costs("vera")),
    ("boft", {}, by_costs("boft")),
    ("boft", {"block_size": 8}, by_costs("boft")),
    ("fourierft", {"n_frequency": 50}, by_costs("fourierft")),
    ("lamda", {"r": 5}, by_costs("lamda")),
    ("c3a-peft", {"block_size": 8}, c3a),
    ("c3a-peft", {}, c3a),
    ("lora", {}, lora),
    ("lora", {"r": 3}, lora),
    ("c3a", {}, c3a),
    ("c3a", {"block_size": 8}, c3a),
    ("c3a", {"block_size": 1}, c3a),
    ("cdvft", {}, cdvft),
    ("cdvft", {"block_size": 12}, cdvft),  # does not divide
    ("cdvft", {"num_factors": 5}, cdvft),
]


@pytest.mark.parametrize("targets", TARGETS, ids=",".join)
@pytest.mark.parametrize(("method", "hyperparameters", "formula"), CASES)
def test_parameters_follow_the_formula(method, hyperparameters, formula, targets):
    model = methods.apply(bert(), method, target_modules=targets, **hyperparameters)
    expected = sum(formula(*shape, **hyperparameters) for shape in TARGETS[targets])
    assert methods.trainable_parameters(model, ["classifier"]) == expected
    assert methods.trainable_parameters(model) == expected + 3 * D + 3


@pytest.mark.parametrize("method", ["lora", "dora"])
@pytest.mark.parametrize("hyperparameters", [{}, {"r": 3}, {"r": 16}, {"r": 16, "alpha": 64}])
def test_the_factor_of_lora_is_one_at_every_rank_unless_alpha_is_given(method, hyperparameters):
    model = methods.apply(bert(), method, target_modules=["query"], **hyperparameters)
    factors = {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")}
    assert factors == {hyperparameters["alpha"] / 16 if "alpha" in hyperparameters else 1}


def test_full_trains_everything_and_head_only_the_head():
    whole = sum(p.numel() for p in bert().parameters())
    assert methods.trainable_parameters(methods.apply(bert(), "full"), ["classifier"]) == whole - (3 * D + 3)
    assert methods.trainable_parameters(methods.apply(bert(), "head"), ["classifier"]) == 0
    assert methods.trainable_parameters(methods.apply(bert(), "head")) == 3 * D + 3


def test_bitfit_trains_every_bias_and_the_head():
    model = methods.apply(bert(), "bitfit")
    for name, p in model.named_parameters():
        assert p.requires_grad == (name.endswith("bias") or "classifier" in name), name
    assert methods.trainable_parameters(model, ["classifier"]) == sum(
        p.numel() for name, p in bert().named_parameters() if name.endswith("bias") and "classifier" not in name
    )


def llama() -> nn.Module:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, **SIZES))


@pytest.mark.parametrize("method", [*ADAPTERS, "full", "head"])
def test_a_language_models_head_is_not_new(method):
    """The head was pre-trained with the model. Adapters leave it frozen; the method "head" trains it."""
    model = methods.apply(llama(), method, target_modules=("q_proj", "down_proj"))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("lm_head" in name for name in trained) == (method in ("full", "head"))
    assert method != "head" or trained == {"lm_head.weight"}


def test_bitfit_raises_for_a_model_without_biases():
    with pytest.raises(ValueError, match="bitfit trains biases, and LlamaForCausalLM has none"):
        methods.apply(llama(), "bitfit")


def test_ia3_scales_the_input_where_the_layer_narrows():
    model = methods.apply(bert(), "ia3", target_modules=("query", "key", "value", "dense"))
    shapes = {name: p.shape for name, p in model.named_parameters() if ".ia3_l." in name}
    down = [shape for name, shape in shapes.items() if "layer" in name and ".output.dense" in name]
    assert down.count((1, INNER)) == LAYERS and down.count((D, 1)) == LAYERS  # the attention's output is square
    assert sum("attention" not in name and shape == (INNER, 1) for name, shape in shapes.items()) == LAYERS


def test_boft_raises_for_more_factors_than_peft_can_make():
    with pytest.raises(ValueError, match="n_butterfly_factor=2 needs PEFT's compiled CUDA extension.*nearest: 1"):
        methods.apply(bert(), "boft", target_modules=["query"], n_butterfly_factor=2)


def test_lamda_computes_its_formula_and_becomes_a_lora(tmp_path):
    model = methods.apply(bert(), "lamda", target_modules=["query"], r=4, alpha=6).eval()
    layer = model.get_base_model().bert.encoder.layer[0].attention.self.query
    core, second = layer.lora_A["default"], layer.lora_B["default"]
    assert isinstance(core, SquareCore)
    assert [tuple(p.shape) for p in (core.projection, core.core, second.weight)] == [(4, D), (4, 4), (D, 4)]
    with torch.no_grad():
        core.core.normal_()
        second.weight.normal_()
    x = torch.randn(3, D)
    delta = 6 / 4 * second.weight @ core.core @ core.projection
    torch.testing.assert_close(layer(x), layer.base_layer(x) + x @ delta.T)
    torch.testing.assert_close(layer.get_delta_weight("default"), delta)
    tokens = torch.arange(24).reshape(4, 6)
    before = model(input_ids=tokens).logits
    methods.finish(model).save_pretrained(tmp_path)
    plain = PeftModel.from_pretrained(bert(), tmp_path).eval()
    assert type(plain.get_base_model().bert.encoder.layer[0].attention.self.query.lora_A["default"]) is nn.Linear
    torch.testing.assert_close(plain(input_ids=tokens).logits, before)


def test_lamda_freezes_its_second_projections_one_after_the_other():
    model = methods.apply(bert(), "lamda", target_modules=["query", "value"], r=4)
    freezing = FreezeSecondProjections(model, share=0.5)
    state, counts = TrainerState(max_steps=16), []
    for state.global_step in range(16):
        freezing.on_step_begin(None, state, None)
        second = [p.requires_grad for name, p in model.named_parameters() if "lora_B" in name]
        assert second == sorted(second)  # the frozen ones come first
        counts.append(sum(second))
    assert counts == [4, 4, 4, 3, 3, 2, 2, 1] + 8 * [0]
    assert all(p.requires_grad for name, p in model.named_parameters() if name.endswith("core"))
    state.global_step = 0  # back again: a run that resumes from a checkpoint is at that step
    freezing.on_step_begin(None, state, None)
    assert all(p.requires_grad for name, p in model.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("method", METHODS)
def test_one_step_changes_the_head_and_not_the_frozen_base(method):
    model = methods.apply(bert(), method, target_modules=("query", "value"))
    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert (not frozen) == (method == "full")
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    tokens = torch.arange(24).reshape(4, 6)
    model(input_ids=tokens, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    optimizer.step()
    now = dict(model.named_parameters())
    assert all(torch.equal(now[name], before) for name, before in frozen.items())
    heads = [name for name in trained if "classifier" in name]
    assert len(heads) == 2 and all(not torch.equal(now[name], trained[name]) for name in heads)
    others = [name for name in trained if name not in heads]
    assert bool(others) == (method != "head")
    assert method == "head" or any(not torch.equal(now[name], trained[name]) for name in others)


@pytest.mark.parametrize("method", METHODS)
def test_an_adapted_model_starts_with_the_outputs_of_the_base_model(method):
    base = bert().eval()
    tokens = torch.arange(24).reshape(4, 6)
    before = base(input_ids=tokens).logits.detach()
    after = methods.apply(base, method, target_modules=("query", "dense")).eval()(input_ids=tokens).logits
    # BOFT multiplies the weight by a rotation and DoRA divides by a norm. Both are one, except for rounding.
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6 if method in ("boft", "dora") else 0)
