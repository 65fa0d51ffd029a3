"""Bad adapter files: the error names the file and the key, and the model is unchanged."""

import json
import shutil

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import circpeft

TARGETS = ["query", "value"]


@pytest.fixture
def saved(tiny, method, tmp_path):
    get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS")).save_pretrained(tmp_path / "good")
    return tmp_path / "good"


def first_key(state, part):
    return next(key for key in state if part in key)


def damage(folder, change):
    state = load_file(folder / "adapter_model.safetensors")
    key = change(state)
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return key


def not_finite(state):
    key = first_key(state, "adapters.")
    state[key] = state[key].clone()
    state[key].view(-1)[1] = float("nan")
    return key


def wrong_shape(state):
    key = first_key(state, "value")
    state[key] = torch.zeros(*state[key].shape[:-1], 8)
    return key


def wrong_head(state):
    key = first_key(state, "classifier.weight")
    state[key] = torch.zeros(5, 16)
    return key


def further_layer(state):
    key = first_key(state, "layer.1").replace("layer.1.", "layer.7.")
    state[key] = state[first_key(state, "layer.1")].clone()
    return key


def lost_layer(state):
    key = first_key(state, "layer.1")
    del state[key]
    return key


DAMAGES = {
    "not finite": (not_finite, "holds 1 values that are not finite"),
    "wrong shape": (wrong_shape, "has shape .* this model needs"),
    "wrong head": (wrong_head, r"has shape \(5, 16\), this model needs \(2, 16\)"),
    "further layer": (further_layer, "this model has no such layer"),
    "lost layer": (lost_layer, "adapter_model.safetensors lacks '"),
}


def snapshot(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return list(model.named_modules()), state, {name: p.requires_grad for name, p in model.named_parameters()}


def unchanged(model, before):
    modules, state, trains = before
    assert list(model.named_modules()) == modules
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trains
    return True


def check_refused(tiny, method, folder, words):
    """Check the error on a model without adapters, by PEFT and by transformers, and on one that has an adapter."""
    bare = tiny.bert()
    before = snapshot(bare)
    with pytest.raises(ValueError) as raised:
        PeftModel.from_pretrained(bare, folder)
    for word in words:
        assert word in str(raised.value), raised.value
    assert unchanged(bare, before) and not hasattr(bare, "peft_config")
    with pytest.raises(ValueError) as raised:  # loading by transformers
        bare.load_adapter(str(folder))
    for word in words:
        assert word in str(raised.value), raised.value
    assert unchanged(bare, before) and not bare._hf_peft_config_loaded
    adapted = get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
    before = snapshot(adapted)
    with pytest.raises(ValueError) as raised:
        adapted.load_adapter(folder, "other")
    for word in words:
        assert word in str(raised.value), raised.value
    assert unchanged(adapted, before) and list(adapted.peft_config) == ["default"]


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_adapter(saved, tiny, method, name):
    change, message = DAMAGES[name]
    key = damage(saved, change)
    bare = tiny.bert()
    before = snapshot(bare)
    with pytest.raises(ValueError, match=message) as raised:
        PeftModel.from_pretrained(bare, saved)
    assert key in str(raised.value) and str(saved / "adapter_model.safetensors") in str(raised.value)
    assert unchanged(bare, before) and not hasattr(bare, "peft_config")
    check_refused(tiny, method, saved, [key, str(saved / "adapter_model.safetensors")])


@pytest.mark.parametrize("size", [0, 4, 200, 1000])
def test_a_truncated_file(saved, tiny, method, size):
    file = saved / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    check_refused(tiny, method, saved, [str(file), "truncated"])


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")
def test_a_field_of_a_newer_version(saved, tiny, method):
    file = saved / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "block_sise": 4}))
    check_refused(tiny, method, saved, [str(file), "'block_sise'", "did you mean 'block_size'"])


def test_an_adapter_of_another_base_model(saved, tiny, method):
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {**tiny.sizes, "hidden_size": 24}
    wider = BertForSequenceClassification(BertConfig(vocab_size=30, **sizes))
    before = snapshot(wider)
    with pytest.raises(ValueError, match="adapter_model.safetensors.*another base model"):
        PeftModel.from_pretrained(wider, saved)
    assert unchanged(wider, before)


def test_good_adapters_load_and_their_settings_fit_another_model(saved, tiny, method):
    PeftModel.from_pretrained(tiny.bert(), saved)
    config = method.config.from_pretrained(saved)
    from transformers import BertConfig, BertForSequenceClassification

    wider = BertForSequenceClassification(BertConfig(vocab_size=30, **{**tiny.sizes, "hidden_size": 24}))
    model = get_peft_model(wider, config)
    assert model(tiny.ids).logits.shape == (2, 2)
    shutil.copy(saved / "adapter_config.json", saved.parent)  # only a config
    assert method.config.from_pretrained(saved.parent).block_size == config.block_size


def test_inject_accepts_the_settings_of_a_saved_adapter(saved, tiny, method):
    from transformers import BertConfig, BertForSequenceClassification

    wider = BertForSequenceClassification(BertConfig(vocab_size=30, **{**tiny.sizes, "hidden_size": 24}))
    config = method.config.from_pretrained(saved)
    assert circpeft.inject(wider, config)(tiny.ids).logits.shape == (2, 2)
    assert config._saved_adapter is not None  # the caller's config is unchanged


@pytest.mark.parametrize("read_by", ["PeftConfig", "method"])
def test_every_way_to_name_the_folder_checks_it(saved, method, read_by):
    from peft import PeftConfig

    read = (method.config if read_by == "method" else PeftConfig).from_pretrained
    calls = [
        lambda: read(saved),
        lambda: read(pretrained_model_name_or_path=str(saved)),
        lambda: read(str(saved.parent), saved.name),
        lambda: read(str(saved.parent), subfolder=saved.name),
    ]
    assert all(call()._saved_adapter.file == str(saved / "adapter_model.safetensors") for call in calls)
    (saved / "adapter_model.safetensors").write_bytes(b"")
    for call in calls:
        with pytest.raises(ValueError, match="adapter_model.safetensors.*truncated"):
            call()


def test_configs_of_other_methods_are_not_checked(tmp_path):
    from peft import LoraConfig, PeftConfig

    LoraConfig(target_modules=["0"], r=3).save_pretrained(tmp_path)
    config = PeftConfig.from_pretrained(tmp_path)
    assert type(config) is LoraConfig and config.r == 3 and not hasattr(config, "_saved_adapter")
