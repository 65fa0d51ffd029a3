"""Names and indices that match nothing: an error if a field matches nothing, else a warning, each with the nearest."""

import warnings

import pytest
import torch
from peft import get_peft_model

import circpeft

TARGETS = {"target_modules": ["query", "value"]}
OUTER = "bert, classifier, dropout, embeddings, encoder, pooler"  # the modules of a BERT, and those one level below
NOTHING = [
    ({"target_modules": ["qeury", "vaule"]}, ["'qeury'", "did you mean 'query'", "'vaule'", "did you mean 'value'"]),
    ({"target_modules": "qeury"}, ["'qeury' is a regex", "did you mean 'query'"]),
    ({"target_modules": "qeury", "modules_to_save": ["classifier"]}, ["'qeury' is a regex", "did you mean 'query'"]),
    ({"target_modules": "qeury", "exclude_modules": ["pooler.dense"]}, ["'qeury' is a regex", "did you mean 'query'"]),
    ({**TARGETS, "layers_to_transform": 2}, ["layers_to_transform=2", "nearest index is 1 (of 0 to 1)"]),
    ({**TARGETS, "layers_to_transform": [5, 9]}, ["layers_to_transform=5", "layers_to_transform=9", "index is 1"]),
    ({**TARGETS, "layers_to_transform": 0, "layers_pattern": "layers"}, ["'layers'", "did you mean 'layer'"]),
    ({"target_modules": ["pooler.dense"], "layers_to_transform": 0}, ["finds no index", "'bert.pooler.dense'"]),
    ({**TARGETS, "modules_to_save": ["clasifier"]}, ["modules_to_save='clasifier'", "did you mean 'classifier'"]),
    ({**TARGETS, "modules_to_save": ["poler"]}, [f"did you mean 'pooler'? (choices: {OUTER})"]),
    ({**TARGETS, "block_size_pattern": {"qeury": 4}}, ["block_size_pattern", "'qeury'", "did you mean 'query'"]),
    ({**TARGETS, "alpha_pattern": {"qeury": 4, "key": 2}}, ["'qeury'", "'key' matches no adapted layer"]),
    ({**TARGETS, "exclude_modules": ["query", "value"]}, ["exclude_modules", "leaves out every layer"]),
    ({"target_modules": ["classifier"], "modules_to_save": ["classifier"]}, ["modules_to_save", "'classifier'"]),
]
PART = [
    ({"target_modules": ["query", "vaule"]}, "'vaule' matches no layer: did you mean 'value'"),
    ({**TARGETS, "layers_to_transform": [0, 7]}, r"layers_to_transform=7 matches no layer; the nearest index is 1"),
    ({**TARGETS, "layers_to_transform": 0, "layers_pattern": ["layer", "h"]}, "layers_pattern='h' matches no list"),
    ({**TARGETS, "modules_to_save": ["classifier", "scor"]}, "modules_to_save='scor' matches no module"),
    (
        {**TARGETS, "block_size_pattern": {"query": 4, "vaule": 2}},
        "'vaule' matches no adapted layer; did you mean 'value'",
    ),
    ({**TARGETS, "alpha_pattern": {"query": 4, "vaule": 2}}, "'vaule' matches no adapted layer; did you mean 'value'"),
    ({**TARGETS, "exclude_modules": ["vaule"]}, "exclude_modules='vaule' excludes nothing; did you mean 'value'"),
    ({**TARGETS, "exclude_modules": r".*\.vaule"}, "excludes nothing"),
]


@pytest.mark.parametrize(("options", "words"), NOTHING, ids=str)
def test_a_field_that_matches_nothing_raises_and_changes_nothing(method, tiny, options, words):
    for apply in (circpeft.inject, get_peft_model):
        model = tiny.bert()
        modules = list(model.named_modules())
        with pytest.raises(ValueError) as raised:
            apply(model, method(**options))
        for word in words:
            assert word in str(raised.value)
        assert list(model.named_modules()) == modules


@pytest.mark.parametrize(("options", "message"), PART, ids=str)
def test_a_field_of_which_a_part_matches_warns(method, tiny, options, message):
    with pytest.warns(UserWarning, match=message):
        circpeft.inject(tiny.bert(), method(**options))


def test_names_that_all_match_do_not_warn(method, tiny):
    options = {
        "layers_to_transform": [0, 1],
        "layers_pattern": "layer",
        "exclude_modules": ["layer.1.attention.self.value"],
        "modules_to_save": ["classifier"],
        "block_size_pattern": {"query": 4},
        "alpha_pattern": {r"layer\.0\..*": 2.0},
        "task_type": "SEQ_CLS",  # PEFT adds "score", the name of other models' heads
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        get_peft_model(tiny.bert(), method(**TARGETS, **options))


CALLS = {
    "set_adapter": lambda model: model.set_adapter("frist"),
    "set_adapter of the tuner": lambda model: model.base_model.set_adapter(["first", "frist"]),
    "delete_adapter": lambda model: model.delete_adapter("frist"),
    "delete_adapter of the tuner": lambda model: model.base_model.delete_adapter("frist"),
    "set_requires_grad": lambda model: model.set_requires_grad("frist"),
    "merge_adapter": lambda model: model.merge_adapter(["frist"]),
    "merge_and_unload": lambda model: model.merge_and_unload(adapter_names=["frist"]),
    "add_weighted_adapter": lambda model: model.add_weighted_adapter(["frist"], [1.0], "sum"),
    "adapter_names": lambda model: model.eval()(torch.zeros(1, 2, dtype=torch.long), adapter_names=["frist"]),
    "save_pretrained": lambda model: model.save_pretrained("unused", selected_adapters=["frist"]),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_adapter_name_that_does_not_exist(method, tiny, call):
    model = get_peft_model(tiny.bert(), method(**TARGETS), adapter_name="first")
    model.add_adapter("second", method(**TARGETS))
    before = tiny.logits(model.eval())
    with pytest.raises(ValueError, match="'?frist'?.*did you mean 'first'"):
        CALLS[call](model)
    assert model.active_adapters == ["first"] and torch.equal(tiny.logits(model), before)
