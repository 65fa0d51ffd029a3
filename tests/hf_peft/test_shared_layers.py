"""Layers that two places share, and weights that two layers share."""

import copy

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn

from circpeft import inject, merge
from circpeft.hf_peft.layer import CirculantLayer


class Shared(nn.Module):
    """One linear layer under two names (`first`, `block.again`), as in models that share their blocks."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.block = nn.Module()
        self.block.again = self.first

    def forward(self, x):
        return self.block.again(torch.tanh(self.first(x)))


@pytest.fixture
def base():
    torch.manual_seed(1)
    return Shared()


@pytest.mark.parametrize("how", ["inject", "peft", "merge_and_unload"])
def test_a_shared_layer_stays_shared(method, base, how):
    x, untouched = torch.randn(3, 8), copy.deepcopy(base)
    config = method(target_modules=["first"])
    model = inject(base, config) if how == "inject" else get_peft_model(base, config)
    assert isinstance(base.first, CirculantLayer) and base.first is base.block.again
    truth = copy.deepcopy(untouched)
    with torch.no_grad():
        truth.first.weight += base.first.get_delta_weight("default")
    before = model(x)
    torch.testing.assert_close(before, truth(x))
    assert not torch.allclose(before, untouched(x))
    merged = model.merge_and_unload() if how == "merge_and_unload" else merge(model)
    assert type(merged.first) is nn.Linear and merged.first is merged.block.again
    torch.testing.assert_close(merged(x), before)


def test_a_shared_layer_is_saved_and_loaded(method, base, tmp_path):
    other, x = copy.deepcopy(base), torch.randn(3, 8)
    model = get_peft_model(base, method(target_modules=["first"]))
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(other, tmp_path)(x), model(x))


def test_merging_one_of_two_tied_layers_leaves_the_other_unchanged(method):
    """The merge separates the weights, and unmerge ties them again."""
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    tied, x = model[0].weight, torch.randn(3, 8)
    original = tied.detach().clone()
    inject(model, method(target_modules=["1"]))
    before = model(x)
    model[1].merge()
    torch.testing.assert_close(model(x), before)
    assert torch.equal(model[0].weight, original) and not torch.equal(model[1].weight, original)
    model[1].unmerge()
    assert model[1].weight is tied and torch.equal(tied, original)


LOADED = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
with torch.no_grad():
    torch.testing.assert_close(model(torch.arange(12).view(2, 6)).logits, torch.load(sys.argv[1] + "/out.pt"))
assert "circpeft" not in sys.modules
print("same")
"""


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings", "ignore:Model has `tie_word_embeddings")
@pytest.mark.parametrize("how", ["merge", "merge_and_unload"])
def test_a_tied_output_layer_is_untied_by_the_merge_also_in_the_saved_model(method, tiny, tmp_path, how, run_python):
    base = tiny.gpt2()
    assert base.lm_head.weight is base.transformer.wte.weight
    embeddings = base.transformer.wte.weight.detach().clone()
    model = get_peft_model(base, method(target_modules=["lm_head"], block_size=2))
    before = tiny.logits(model)
    merged = merge(model) if how == "merge" else model.merge_and_unload()
    torch.testing.assert_close(tiny.logits(merged), before)
    assert torch.equal(merged.transformer.wte.weight, embeddings)
    merged.save_pretrained(tmp_path)
    torch.save(tiny.logits(merged), tmp_path / "out.pt")
    assert run_python(LOADED, tmp_path).split() == ["same"]


def test_tied_weights_stay_tied_if_nothing_is_merged_into_them(method, tiny):
    model = get_peft_model(tiny.gpt2(), method(target_modules=["c_attn"]))
    merged = merge(model)
    assert merged.config.tie_word_embeddings and merged.lm_head.weight is merged.transformer.wte.weight
