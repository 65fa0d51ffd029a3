"""What every method trains: counted against its formula, head in, base frozen."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, RobertaConfig
from transformers import RobertaForSequenceClassification as Roberta

from circpeft import methods

D, INNER, LAYERS = 32, 64, 2
SIZES = {"hidden_size": D, "num_hidden_layers": LAYERS, "intermediate_size": INNER, "num_attention_heads": 2}
SQUARE, UP, DOWN = (D, D), (D, INNER), (INNER, D)
# The layers of the stack that each set of targets names, as (d_in, d_out).
TARGETS = {
    ("query", "value"): [SQUARE] * 2 * LAYERS,
    ("intermediate.dense",): [UP] * LAYERS,
    # "dense" is also the name of the pooler's layer
    ("query", "key", "value", "dense"): [SQUARE] * 4 * LAYERS + [UP, DOWN] * LAYERS + [SQUARE],
}


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


CASES = [
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


def test_full_is_everything_but_the_head_and_head_is_nothing_else():
    whole = sum(p.numel() for p in bert().parameters())
    assert methods.trainable_parameters(methods.apply(bert(), "full"), ["classifier"]) == whole - (3 * D + 3)
    assert methods.trainable_parameters(methods.apply(bert(), "head"), ["classifier"]) == 0
    assert methods.trainable_parameters(methods.apply(bert(), "head")) == 3 * D + 3


@pytest.mark.parametrize("method", methods.METHODS)
def test_one_step_moves_the_head_and_not_the_frozen_base(method):
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


@pytest.mark.parametrize("method", ["lora", "c3a", "cdvft"])
def test_an_adapted_model_starts_as_the_base(method):
    base = bert().eval()
    tokens = torch.arange(24).reshape(4, 6)
    before = base(input_ids=tokens).logits.detach()
    after = methods.apply(base, method, target_modules=("query", "dense")).eval()(input_ids=tokens).logits
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("targets", [("dense",), "all-linear"])
@pytest.mark.parametrize("method", ["lora", "c3a", "cdvft"])
def test_layers_inside_the_head_are_not_adapted(method, targets):
    torch.manual_seed(0)
    model = Roberta(RobertaConfig(vocab_size=50, **SIZES))  # its head has a layer of the name dense
    assert methods.head_names(model) == ["classifier"]
    adapted = methods.apply(model, method, target_modules=targets)
    trained = [n for n, p in adapted.named_parameters() if p.requires_grad and "classifier" in n.split(".")]
    assert sorted(n.rsplit("modules_to_save.default.", 1)[1] for n in trained) == [
        "dense.bias", "dense.weight", "out_proj.bias", "out_proj.weight",
    ]  # fmt: skip


def test_a_model_without_a_head_has_none():
    assert methods.head_names(BertModel(BertConfig(vocab_size=50, **SIZES))) == []
    assert methods.head_names(nn.Sequential(nn.Linear(4, 4))) == []


@pytest.mark.parametrize("method", ["lora", "c3a", "cdvft"])
def test_any_module_can_be_adapted(method):
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    adapted = methods.apply(model, method, target_modules=["0"])
    expected = {"lora": 8 * 10, "c3a": 24 // 2, "cdvft": 6 + 4 + 2 * 4}[method]
    assert methods.trainable_parameters(adapted) == expected
    assert adapted(torch.randn(3, 6)).shape == (3, 2)


def test_a_regex_may_name_the_targets():
    model = methods.apply(bert(), "c3a", target_modules=r".*layer\.1\..*(query|value)")
    assert methods.trainable_parameters(model, ["classifier"]) == 2 * D


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_target_that_matches_nothing_names_the_nearest(method):
    with pytest.raises(ValueError, match="'valeu' matches no layer: did you mean 'value'"):
        methods.apply(bert(), method, target_modules=["query", "valeu"])
    with pytest.raises(
        ValueError, match="'qvery' in target_modules matches no layer's full name: did you mean 'query'"
    ):
        methods.apply(bert(), method, target_modules="qvery")


def test_misspelt_names():
    with pytest.raises(ValueError, match="unknown method 'lorra'; did you mean 'lora'"):
        methods.apply(bert(), "lorra")
    with pytest.raises(ValueError, match="'cdvft' has no hyperparameter 'factors'; .*num_factors"):
        methods.apply(bert(), "cdvft", factors=3)
    with pytest.raises(ValueError, match="'full' has no hyperparameter 'r'"):
        methods.check("full", {"r": 8})
