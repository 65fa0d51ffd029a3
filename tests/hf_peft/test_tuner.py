"""The layers that a config adapts. A config that cannot be satisfied changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from peft import get_peft_model
from torch import nn

from circpeft import inject
from circpeft.hf_peft import unmatched_targets
from circpeft.hf_peft.configs import SAVES_BIASES
from circpeft.hf_peft.layer import CirculantLayer


def adapted_names(model):
    return [
        name.removeprefix("base_model.model.") for name, m in model.named_modules() if isinstance(m, CirculantLayer)
    ]


LAYER = "bert.encoder.layer.{}.attention.self.{}"
LINEAR = ["attention.self.query", "attention.self.key", "attention.self.value"]
LINEAR += ["attention.output.dense", "intermediate.dense", "output.dense"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [LAYER.format(i, n) for i in (0, 1) for n in ("query", "value")]),
        ({"target_modules": ["key"]}, [LAYER.format(0, "key"), LAYER.format(1, "key")]),
        ({"target_modules": ["key"], "layers_to_transform": 0}, [LAYER.format(0, "key")]),
        ({"target_modules": ["key"], "layers_to_transform": 1}, [LAYER.format(1, "key")]),
        ({"target_modules": ["key"], "layers_to_transform": [0], "layers_pattern": "layer"}, [LAYER.format(0, "key")]),
        ({"target_modules": r".*layer\.1.*(key|query)"}, [LAYER.format(1, "query"), LAYER.format(1, "key")]),
        ({"target_modules": ["key", "query"], "exclude_modules": ["query"]}, [LAYER.format(i, "key") for i in (0, 1)]),
        ({"target_modules": ["key"], "exclude_modules": r".*layer\.0.*"}, [LAYER.format(1, "key")]),
        ({"target_modules": "all-linear"}, [f"bert.encoder.layer.{i}.{n}" for i in (0, 1) for n in LINEAR]),
    ],
    ids=str,
)
def test_targets_choose_the_layers(method, tiny, options, expected):
    model = get_peft_model(tiny.bert(), method(task_type="SEQ_CLS", **options))
    names = [name for name in adapted_names(model) if name != "bert.pooler.dense"]
    assert sorted(names) == sorted(expected)
    assert ("bert.pooler.dense" in adapted_names(model)) == (options.get("target_modules") == "all-linear")


def test_only_adapters_and_saved_modules_train(method, tiny):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"], modules_to_save=["classifier"]))
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trainable and all(method.prefix in n or "classifier.modules_to_save" in n for n in trainable)


@pytest.mark.skipif(not SAVES_BIASES, reason="this version of PEFT does not save trained biases")
@pytest.mark.parametrize("bias", ["all", "only"])
def test_biases_train_if_the_config_says_so(method, tiny, bias):
    bias = bias if bias == "all" else f"{method.prefix}only"
    model = get_peft_model(tiny.bert(), method(target_modules=["query"], bias=bias))
    biases = {n: p.requires_grad for n, p in model.named_parameters() if n.endswith("bias")}
    assert {n for n, trains in biases.items() if trains} == {n for n in biases if bias == "all" or "query" in n}


def test_block_size_and_alpha_patterns(method, tiny):
    model = get_peft_model(
        tiny.bert(),
        method(
            target_modules=["query", "value"],
            block_size=8,
            block_size_pattern={"value": 4, "layer.1.attention.self.query": 2},
            alpha=1.0,
            alpha_pattern={r"layer\.0.*": 3.0},
        ),
    )
    values = {
        n: (m.adapters["default"].block_size, m.adapters["default"].alpha)
        for n, m in model.named_modules()
        if isinstance(m, CirculantLayer)
    }
    assert {n.removeprefix("base_model.model."): v for n, v in values.items()} == {
        LAYER.format(0, "query"): (8, 3.0),
        LAYER.format(0, "value"): (4, 3.0),
        LAYER.format(1, "query"): (2, 1.0),
        LAYER.format(1, "value"): (4, 1.0),
    }


def test_a_second_adapter_finds_all_linear_layers_again(method, tiny):
    model = get_peft_model(tiny.bert(), method(target_modules="all-linear", task_type="SEQ_CLS"))
    first = adapted_names(model)
    model.add_adapter("other", method(target_modules="all-linear", task_type="SEQ_CLS"))
    layers = [m for m in model.modules() if isinstance(m, CirculantLayer)]
    assert adapted_names(model) == first and all(list(m.adapters) == ["default", "other"] for m in layers)


class Two(nn.Module):
    """An embedding and two linear layers. Only the block sizes 1 and 2 suit both."""

    def __init__(self):
        super().__init__()
        self.lookup, self.first, self.second = nn.Embedding(4, 8), nn.Linear(8, 8), nn.Linear(8, 6)


BAD = [
    ({"target_modules": ["first", "scond"], "block_size": 9}, ValueError, ["9"]),
    ({"target_modules": ["scond"]}, ValueError, ["'scond' matches no layer", "did you mean 'second'"]),
    ({"target_modules": "scond"}, ValueError, ["'scond'", "regex", "did you mean 'second'"]),
    ({"target_modules": ".*layer"}, ValueError, ["'.*layer'", "regex", "first, second"]),
    ({"target_modules": ["first", "lookup"]}, TypeError, ["'lookup'", "Embedding"]),
    ({"target_modules": "all-linear", "block_size_pattern": {"second": 7.5}}, ValueError, ["'second'", "7.5"]),
    (
        {"target_modules": ["first"], "block_size_pattern": {"frist": 2}},
        ValueError,
        ["block_size_pattern", "'frist'", "'first'"],
    ),
    ({"target_modules": ["first"], "alpha_pattern": {"frist": 2}}, ValueError, ["alpha_pattern", "'frist'", "'first'"]),
    ({"target_modules": ["first", "second"], "alpha_pattern": {"second": "x"}}, ValueError, ["'second'", "'x'"]),
    ({"target_modules": []}, ValueError, ["target_modules"]),
    ({}, ValueError, ["target_modules"]),
]


@pytest.mark.filterwarnings("ignore:target module 'scond'", "ignore:Already found a `peft_config`")
@pytest.mark.parametrize(("options", "error", "words"), BAD, ids=str)
def test_a_config_that_cannot_be_satisfied_changes_nothing(method, options, error, words):
    for second in (False, True):
        model = Two()
        if second:
            inject(model, method(target_modules=["first"]), "before")
        modules, state = list(model.named_modules()), {n: v.clone() for n, v in model.state_dict().items()}
        trains = {n: p.requires_grad for n, p in model.named_parameters()}
        configs = list(getattr(model, "peft_config", {}))
        with pytest.raises(error) as raised:
            inject(model, method(**options))
        for word in words:
            assert word in str(raised.value)
        assert list(model.named_modules()) == modules
        assert all(torch.equal(v, state[n]) for n, v in model.state_dict().items())
        assert {n: p.requires_grad for n, p in model.named_parameters()} == trains
        assert list(getattr(model, "peft_config", {})) == configs


@pytest.mark.parametrize("targets", ["all-linear", ["first", "second"], "first|second", None], ids=str)
def test_a_block_size_that_divides_only_the_first_layer_changes_nothing(methods, targets, tiny):
    c3a = methods[0]
    model = Two() if targets else tiny.bert()
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match=r"layer '.*' \(d_in=\d+, d_out=\d+\): block_size=\d+ does not divide"):
        inject(model, c3a(target_modules=targets, block_size=8 if targets else 7))
    assert list(model.named_modules()) == modules


def test_a_second_adapter_that_raises_leaves_the_first_active(methods):
    model = get_peft_model(Two(), methods[0](target_modules=["first"]))
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match="does not divide"):
        model.add_adapter("other", methods[0](target_modules=["first", "second"], block_size=8))
    assert list(model.named_modules()) == modules and list(model.peft_config) == ["default"]


def test_layer_indices_that_do_not_exist_are_named(method, tiny):
    with pytest.raises(ValueError, match=r"layers_to_transform=7 matches no layer; the nearest index is 1 \(of 0 to 1"):
        get_peft_model(tiny.bert(), method(target_modules=["query"], layers_to_transform=7))


def test_one_unmatched_name_among_others_warns(method):
    with pytest.warns(UserWarning, match="'scond' matches no layer: did you mean 'second'"):
        inject(Two(), method(target_modules=["first", "scond"]))


def test_unmatched_targets():
    assert unmatched_targets(Two(), ["first", "second"]) == {}
    assert unmatched_targets(Two(), ["irst"]) == {"irst": "did you mean 'first'? (choices: first, second)"}


@pytest.mark.parametrize("name", ["half", "train", "a.b", ""])
def test_an_invalid_adapter_name_changes_nothing(method, tiny, name):
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match=f"adapter name '{name}'"):
        model.add_adapter(name, method(target_modules=["2"]))
    assert list(model.named_modules()) == modules and list(model.peft_config) == ["default"]
    with pytest.raises(ValueError, match=f"adapter name '{name}'"):
        inject(tiny.mlp(), method(target_modules=["0"]), name)


def test_adapters_take_the_base_precision_on_demand(method, tiny):
    config = method(target_modules=["value"])
    model = get_peft_model(tiny.bert(torch.bfloat16), config, autocast_adapter_dtype=False)
    assert {p.dtype for n, p in model.named_parameters() if method.prefix in n} == {torch.bfloat16}
    assert tiny.logits(model).dtype == torch.bfloat16


def test_a_pattern_may_name_a_layer_of_modules_to_save(method, tiny):
    config = method(target_modules=["value"], modules_to_save=["classifier"], block_size_pattern={"classifier": 2})
    assert get_peft_model(tiny.bert(), config).active_adapters == ["default"]


@pytest.mark.parametrize("config", [{}, {"width": 8}, None, SimpleNamespace(width=8), {"model_type": "own"}], ids=str)
def test_a_model_that_is_not_of_transformers_needs_target_modules(method, config):
    model = nn.Sequential(nn.Linear(8, 8))
    model.config = config
    with pytest.raises(ValueError, match="target_modules is None, and Sequential has no default; list names of .*all-"):
        get_peft_model(model, method())
    assert type(model[0]) is nn.Linear
    for targets in (["0"], "all-linear"):
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
        model.config = config
        assert adapted_names(get_peft_model(model, method(target_modules=targets)))
