"""The arguments of methods: targets, the head that they leave out, and values that raise."""

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
)
from transformers import RobertaForSequenceClassification as Roberta

from circpeft import methods

D, LAYERS = 32, 2
SIZES = {"hidden_size": D, "num_hidden_layers": LAYERS, "intermediate_size": 64, "num_attention_heads": 2}
METHODS = list(methods.METHODS)
ADAPTERS = [name for name in METHODS if name not in ("full", "head", "bitfit")]


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=50, num_labels=3, **SIZES))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("method", ADAPTERS)
def test_all_linear_leaves_out_a_language_models_head(method, tied):
    """The vocabulary has 47 words, which no block size divides."""
    model = LlamaForCausalLM(LlamaConfig(vocab_size=47, tie_word_embeddings=tied, **SIZES))
    given = {} if method in ("ia3", "lora", "dora", "vera", "fourierft", "lamda") else {"block_size": 16}
    adapted = methods.apply(model, method, target_modules="all-linear", **given)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert trained and not [name for name in trained if "lm_head" in name or "embed" in name]
    assert {part for name in trained for part in name.split(".") if part.endswith("_proj")} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip


@pytest.mark.parametrize("targets", [("dense",), "all-linear"])
@pytest.mark.parametrize("method", ADAPTERS)
def test_layers_inside_the_head_are_not_adapted(method, targets):
    torch.manual_seed(0)
    model = Roberta(RobertaConfig(vocab_size=50, **SIZES))  # its head has a layer named dense
    assert methods.head_names(model) == ["classifier"]
    adapted = methods.apply(model, method, target_modules=targets)
    trained = [n for n, p in adapted.named_parameters() if p.requires_grad and "classifier" in n.split(".")]
    assert sorted(n.rsplit("modules_to_save.default.", 1)[1] for n in trained) == [
        "dense.bias", "dense.weight", "out_proj.bias", "out_proj.weight",
    ]  # fmt: skip


def test_a_model_without_a_head_has_no_head_names():
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


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_matches_nothing_names_the_nearest(method):
    with pytest.raises(ValueError, match="'valeu' matches no layer: did you mean 'value'"):
        methods.apply(bert(), method, target_modules=["query", "valeu"])
    with pytest.raises(
        ValueError, match="'qvery' in target_modules matches no layer's full name: did you mean 'query'"
    ):
        methods.apply(bert(), method, target_modules="qvery")


def test_misspelt_names_come_with_the_nearest():
    with pytest.raises(ValueError, match=r"target_modules='query\(' is not a valid regex"):
        methods.apply(bert(), "lora", target_modules="query(")
    with pytest.raises(ValueError, match="must hold names of layers, got None"):
        methods.apply(bert(), "lora", target_modules=["query", None])
    with pytest.raises(ValueError, match="unknown method 'lorra'; did you mean 'lora'"):
        methods.apply(bert(), "lorra")
    with pytest.raises(ValueError, match="'cdvft' has no hyperparameter 'factors'; .*num_factors"):
        methods.apply(bert(), "cdvft", factors=3)
    with pytest.raises(ValueError, match="'full' has no hyperparameter 'r'"):
        methods.check("full", {"r": 8})


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("lora", {"r": "x"}, "r must be a whole number of at least 1, got 'x'"),
        ("lamda", {"r": 2.0}, "r must be a whole number of at least 1, got 2.0"),
        ("dora", {"r": True}, "r must be a whole number of at least 1, got True"),
        ("vera", {"projection_prng_key": -1}, "projection_prng_key must be a whole number of at least 0, got -1"),
        ("fourierft", {"scaling": float("nan")}, "scaling must be a finite number, got nan"),
        ("c3a-peft", {}, "c3a-peft needs target_modules"),
    ],
)
def test_a_value_of_the_wrong_kind_raises(method, given, message):
    with pytest.raises(ValueError, match=message):
        methods.apply(bert(), method, **given)
