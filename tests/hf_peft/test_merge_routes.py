"""A merged model is a plain model, however the adapter came in: attributes, keys, saved files and outputs."""

import json

import peft
import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

import circpeft
from tests.peft_versions import needs_adapter_methods

IDS = torch.arange(12).reshape(2, 6)
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}
AUTO = {"llama": AutoModelForCausalLM, "bert": AutoModelForSequenceClassification}
AUTO_PEFT = {"llama": peft.AutoPeftModelForCausalLM, "bert": peft.AutoPeftModelForSequenceClassification}
MARKS = ("peft_config", "_hf_peft_config_loaded", "_weight_conversions_before_adapters")


class Holder(nn.Module):
    """A module of the user's own around a transformers model."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, ids):
        return self.inner(ids)


class Models:
    """Base models and their adapters in a folder, and every way to bring both together."""

    def __init__(self, folder):
        self.folder = folder
        torch.manual_seed(0)
        llama = LlamaConfig(vocab_size=30, num_key_value_heads=2, tie_word_embeddings=True, **SIZES)
        LlamaForCausalLM(llama).save_pretrained(folder / "llama")
        BertForSequenceClassification(BertConfig(vocab_size=30, **SIZES)).save_pretrained(folder / "bert")
        for name in AUTO:
            model = peft.get_peft_model(self.base(name), self.config(name))
            for key, parameter in model.named_parameters():
                if "modules_to_save" in key:
                    parameter.data.mul_(1.5)
            model.save_pretrained(folder / f"{name}-adapter")

    def base(self, name):
        return AUTO[name].from_pretrained(self.folder / name).eval()

    def config(self, name, head=True):
        options = {"init_weights": False, "block_size": 4, "alpha": 20.0}
        if name == "llama":
            return circpeft.C3AConfig(target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **options)
        saved = ["classifier"] if head else None
        return circpeft.C3AConfig(
            target_modules=["query", "dense"], task_type="SEQ_CLS", modules_to_save=saved, **options
        )

    def added(self, name, *adapters, head=True):
        model = self.base(name)
        for adapter in adapters or ["default"]:
            model.add_adapter(self.config(name, head), adapter)
        return model

    def both(self, name):
        model = self.added(name, "a", "b", head=False)
        model.set_adapter(["a", "b"])
        return model

    def loaded(self, name):
        model = self.base(name)
        model.load_adapter(str(self.folder / f"{name}-adapter"))
        return model

    def in_a_part(self, name):
        model = self.base(name)
        circpeft.inject(model.base_model, self.config(name, head=False))
        return model


ROUTES = {
    "get_peft_model": lambda m, name: peft.get_peft_model(m.base(name), m.config(name)),
    "inject_adapter_in_model": lambda m, name: peft.inject_adapter_in_model(m.config(name), m.base(name)),
    "inject": lambda m, name: circpeft.inject(m.base(name), m.config(name)),
    "add_adapter": Models.added,
    "load_adapter": Models.loaded,
    "one of two active": lambda m, name: m.added(name, "a", "b"),
    "both active": Models.both,
    "auto class": lambda m, name: AUTO[name].from_pretrained(m.folder / f"{name}-adapter"),
    "AutoPeftModel": lambda m, name: AUTO_PEFT[name].from_pretrained(m.folder / f"{name}-adapter"),
    "PeftModel": lambda m, name: peft.PeftModel.from_pretrained(m.base(name), m.folder / f"{name}-adapter"),
    "in a part": Models.in_a_part,
    "PeftModel in a module": lambda m, name: Holder(peft.get_peft_model(m.base(name), m.config(name))),
    "add_adapter in a module": lambda m, name: Holder(m.added(name)),
}
BY_TRANSFORMERS = ("add_adapter", "one of two active", "both active", "add_adapter in a module")
routes = [pytest.param(route, marks=needs_adapter_methods if route in BY_TRANSFORMERS else ()) for route in ROUTES]
names = pytest.mark.parametrize("name", AUTO)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models(tmp_path_factory.mktemp("models"))


@torch.no_grad()
def logits(model):
    return model.eval()(IDS).logits


def check_plain(model, base, outputs, folder):
    """Compare a merged model with one that never had an adapter, and with what it saves."""
    assert type(model) is type(base) and list(model.state_dict()) == list(base.state_dict())
    for (path, module), (_, plain) in zip(model.named_modules(), base.named_modules(), strict=True):
        assert module.__dict__.keys() == plain.__dict__.keys(), path
        assert not any(mark in module.__dict__ for mark in MARKS)
        hooks = [key for key in module.__dict__ if key.endswith("hooks")]
        assert all(len(getattr(module, key)) == len(getattr(plain, key)) for key in hooks), path
    conversions = [[str(c) for c in getattr(one, "_weight_conversions", ())] for one in (model, base)]
    assert conversions[0] == conversions[1]  # transformers before version 5 has no conversions
    torch.testing.assert_close(logits(model), outputs, atol=1e-5, rtol=1e-5)
    model.save_pretrained(folder)
    assert (folder / "config.json").exists() and not list(folder.glob("adapter*"))
    torch.testing.assert_close(logits(type(model).from_pretrained(folder)), outputs, atol=1e-5, rtol=1e-5)


@names
@pytest.mark.parametrize("route", routes)
def test_a_merged_model_is_plain(models, name, route, tmp_path):
    model, base = ROUTES[route](models, name), models.base(name)
    before = logits(model)
    assert (before - logits(base)).abs().max() > 1e-3, "the adapter must show"
    merged = circpeft.merge(model)
    check_plain(getattr(merged, "inner", merged), base, before, tmp_path)
    with pytest.raises(ValueError, match="nothing to merge"):
        circpeft.merge(merged)


@names
@pytest.mark.parametrize("route", ["get_peft_model", "AutoPeftModel", "PeftModel"])
@pytest.mark.parametrize("how", ["merge_and_unload", "unload"])
def test_unloading_by_peft_leaves_a_plain_model(models, name, route, how, tmp_path):
    model, base = ROUTES[route](models, name), models.base(name)
    expected = logits(base if how == "unload" else model)
    check_plain(getattr(model, how)(), base, expected, tmp_path)


@needs_adapter_methods
@names
def test_a_merged_model_takes_another_adapter_and_generates(models, name):
    model = circpeft.merge(models.loaded(name))
    before = logits(model)
    model.add_adapter(models.config(name))
    assert (logits(model) - before).abs().max() > 1e-3
    if name == "llama":
        assert model.generate(IDS, max_new_tokens=2, pad_token_id=0).shape == (2, 8)


@needs_adapter_methods
def test_after_the_last_adapter_was_deleted_merge_removes_the_layers(models, tmp_path):
    model = models.loaded("llama")
    model.delete_adapter("default")
    check_plain(circpeft.merge(model), models.base("llama"), logits(models.base("llama")), tmp_path)


def test_an_adapted_output_layer_is_untied_also_below_another_module(models):
    base = models.base("llama")
    config = circpeft.CDVFTConfig(target_modules=["lm_head"], init_weights=False, block_size=2)
    model = Holder(circpeft.inject(base, config))
    before = logits(model)
    merged = circpeft.merge(model).inner
    assert not merged.config.tie_word_embeddings
    torch.testing.assert_close(logits(merged), before, atol=1e-5, rtol=1e-5)


@needs_adapter_methods
def test_a_refused_adapter_leaves_no_mark(models):
    model = models.base("llama")
    with pytest.raises(ValueError, match="matches no layer"):
        model.add_adapter(circpeft.C3AConfig(block_size=4, target_modules=["q_porj"]))
    assert model.__dict__.keys() == models.base("llama").__dict__.keys()


def test_a_new_process_without_circpeft_loads_the_merged_models(models, tmp_path, run_python):
    expected = {}
    for name in AUTO:
        for route in ("load_adapter", "auto class"):
            merged = circpeft.merge(ROUTES[route](models, name))
            merged.save_pretrained(tmp_path / f"{name} {route}")
            expected[f"{name} {route}"] = logits(merged).flatten().tolist()
    (tmp_path / "expected.json").write_text(json.dumps(expected))
    script = """
import json, pathlib, sys, torch, transformers
folder = pathlib.Path(sys.argv[1])
for name, values in json.loads((folder / "expected.json").read_text()).items():
    auto = transformers.AutoModelForCausalLM if "llama" in name else transformers.AutoModelForSequenceClassification
    with torch.no_grad():
        logits = auto.from_pretrained(folder / name).eval()(torch.arange(12).reshape(2, 6)).logits.flatten()
    torch.testing.assert_close(logits, torch.tensor(values), atol=1e-5, rtol=1e-5)
assert "circpeft" not in sys.modules
print("equal")
"""
    assert run_python(script, tmp_path).strip() == "equal"
