"""Names of adapters that are also names of parts of the model, or of parameters."""

import pytest
import torch
from peft import PeftModel, get_peft_model

from circpeft.hf_peft.adapter_names import check_new_name
from circpeft.hf_peft.configs import SAVES_BIASES


def outputs(model, tiny):
    model.eval()
    found = {}
    for name in model.peft_config:
        model.set_adapter(name)
        found[name] = tiny.logits(model)
    return found


def randomised(model):
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn_like(p))
    return model


@pytest.mark.parametrize("names", [("encoder", "classifier"), ("key", "value"), ("a", "ab"), ("default", "default_0")])
def test_adapters_with_names_of_other_layers_are_saved_apart(method, tiny, tmp_path, names):
    one = {"encoder": "pooler.dense"}.get(names[0], "query")
    model = get_peft_model(tiny.bert(), method(target_modules=[one], init_weights=False), adapter_name=names[0])
    model.add_adapter(names[1], method(target_modules=["pooler.dense"], init_weights=False))
    wanted = outputs(model, tiny)
    model.save_pretrained(tmp_path)
    for name in names:
        folder = tmp_path if name == "default" else tmp_path / name
        assert torch.equal(tiny.logits(PeftModel.from_pretrained(tiny.bert(), folder, "x")), wanted[name])


@pytest.mark.parametrize(
    ("first", "second", "saved"),
    [("0", "1", ()), ("x", "encoder", ()), ("query", "x", ()), ("bert", "x", ()), ("x", "weight", ("classifier",))],
)
def test_a_name_by_which_parameters_would_be_lost_is_refused(method, tiny, first, second, saved):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"], modules_to_save=saved), adapter_name=first)
    before = [name for name, _ in model.named_modules()]
    with pytest.raises(ValueError, match="an adapter cannot have the name '.*' beside '.*': PEFT would not save"):
        model.add_adapter(second, method(target_modules=["query"]))
    assert list(model.peft_config) == [first] and [name for name, _ in model.named_modules()] == before


def test_the_name_of_the_adapters_own_parameter_is_refused_for_another_adapter(method, tiny):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"]))
    parameter = next(n for n, p in model.named_parameters() if p.requires_grad).rpartition(".")[2]
    with pytest.raises(ValueError, match=f"cannot have the name '{parameter}' beside 'default'"):
        model.add_adapter(parameter, method(target_modules=["key"]))


def test_the_name_of_a_saved_module_is_refused(method, tiny):
    base = tiny.bert()
    before = [name for name, _ in base.named_modules()]
    with pytest.raises(ValueError, match="the name 'my_classifier' beside modules_to_save='classifier'"):
        get_peft_model(base, method(target_modules=["query"], modules_to_save=["classifier"]), "my_classifier")
    assert [name for name, _ in base.named_modules()] == before


@pytest.mark.skipif(not SAVES_BIASES, reason="this version of PEFT removes the adapter's name from every key")
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_an_adapter_with_the_name_of_a_parameter_keeps_its_saved_head(method, tiny, tmp_path, name):
    config = method(target_modules=["query"], modules_to_save=["classifier"])
    model = randomised(get_peft_model(tiny.bert(), config, name)).eval()
    wanted = tiny.logits(model)
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path / name)), wanted)


def test_a_named_adapter_is_merged_with_its_own_head(method, tiny, error):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"], init_weights=False))
    for name in ("a", "b"):
        model.add_adapter(name, method(target_modules=["query"], init_weights=False, modules_to_save=["classifier"]))
    for name in ("a", "b"):
        model.set_adapter(name)
        randomised(model)
    wanted = outputs(model, tiny)
    model.set_adapter("default")
    before = [name for name, _ in model.named_modules()]
    with pytest.raises(ValueError, match="a, b each have a copy of .*classifier.*; merge only one"):
        model.merge_and_unload(adapter_names=["a", "b"])
    assert [name for name, _ in model.named_modules()] == before
    assert error(tiny.logits(model.merge_and_unload(adapter_names=["a"])), wanted["a"]) < 1e-5


@pytest.mark.parametrize("name", ["default", "a-b_c 1", "ä", "a" * 100])
def test_names_that_an_adapter_can_have(name):
    check_new_name(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[(name, "cannot be the name of a folder") for name in ("a" * 101, "a/b", "a\\b", "C:", "a\n", 3)],
        *[(name, "is empty, has a dot, or is an attribute") for name in ("", "a.b", "half", "forward")],
    ],
)
def test_names_that_no_adapter_can_have(name, text):
    with pytest.raises(ValueError, match=text):
        check_new_name(name)
