"""Saving and loading: in a new process, under another name, on a bfloat16 model, through transformers, and merged."""

import pytest
import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict

from circpeft import merge
from tests.peft_versions import needs_adapter_methods, needs_saved_biases

TARGETS = ["query", "value", "dense"]

FRESH = """
import sys, torch
from pathlib import Path
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoModelForSequenceClassification

folder, methods, ids = Path(sys.argv[1]), sys.argv[2:], torch.arange(12).view(2, 6)

# Products may be rounded differently in another process, so only parameters are compared bit for bit.
@torch.no_grad()
def check(model, name):
    torch.testing.assert_close(model.eval()(ids).logits, torch.load(folder / f"{name}.pt")["logits"])

for name in methods:
    merged = folder / f"{name}-merged"
    model, info = AutoModelForSequenceClassification.from_pretrained(merged, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    check(model, name)
assert "circpeft" not in sys.modules
print("merged")

import circpeft
for name in methods:
    base = AutoModelForSequenceClassification.from_pretrained(folder / "base")
    model = PeftModel.from_pretrained(base, folder / name)
    check(model, name)
    loaded_state, saved = get_peft_model_state_dict(model), torch.load(folder / f"{name}.pt")["adapter"]
    assert loaded_state.keys() == saved.keys() and all(torch.equal(loaded_state[key], saved[key]) for key in saved)
print("reloaded")
"""


def test_in_a_new_process_a_merged_model_needs_no_circpeft_and_an_adapter_reloads_bit_for_bit(
    methods, tiny, tmp_path, run_python
):
    tiny.bert().save_pretrained(tmp_path / "base")
    for method in methods:
        model = get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
        torch.save(
            {"logits": tiny.logits(model), "adapter": get_peft_model_state_dict(model)}, tmp_path / f"{method}.pt"
        )
        model.save_pretrained(tmp_path / str(method))
        merge(model).save_pretrained(tmp_path / f"{method}-merged")
    assert run_python(FRESH, tmp_path, *methods).split() == ["merged", "reloaded"]


# These are also names of parameters, of list entries and of PEFT's attributes.
@pytest.mark.filterwarnings("error:Found missing adapter keys")
@pytest.mark.parametrize("saved_as", ["default", "0", "kernel", "kernel_0"])
@pytest.mark.parametrize("loaded_as", ["default", "diagonal_0"])
def test_any_adapter_name(method, tiny, tmp_path, saved_as, loaded_as):
    options = {"num_factors": 5} if method.name == "CDVFT" else {}
    model = get_peft_model(tiny.bert(), method(target_modules=["value"], **options), adapter_name=saved_as)
    before = tiny.logits(model)
    model.save_pretrained(tmp_path)
    folder = tmp_path if saved_as == "default" else tmp_path / saved_as
    other = PeftModel.from_pretrained(tiny.bert(), folder, adapter_name=loaded_as)
    assert torch.equal(tiny.logits(other), before)


def test_keys_of_a_checkpoint(method, tiny):
    keys = get_peft_model_state_dict(get_peft_model(tiny.mlp(), method(target_modules=["0"])))
    names = ["kernel"] if method.name == "CIRCONV" else ["diagonal_0", "diagonal_1", "kernel_0"]
    assert list(keys) == [f"base_model.model.0.{method.prefix}adapters.{name}" for name in names]


def test_two_adapters_are_saved_separately(method, tiny, tmp_path):
    model = get_peft_model(tiny.bert(), method(target_modules=["value"]))
    model.add_adapter("other", method(target_modules=["key", "value"], block_size=4))
    outputs = {}
    for name in ("default", "other"):
        model.set_adapter(name)
        outputs[name] = tiny.logits(model)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path)
    loaded.load_adapter(tmp_path / "other", "other")
    for name in ("default", "other"):
        loaded.set_adapter(name)
        assert torch.equal(tiny.logits(loaded), outputs[name])


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_float32_kernels_are_loaded_bit_for_bit_onto_a_bfloat16_model(method, tiny, tmp_path, low_cpu_mem_usage):
    model = get_peft_model(tiny.bert(torch.bfloat16), method(target_modules=["value"]))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.bert(torch.bfloat16), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    saved, loaded_state = get_peft_model_state_dict(model), get_peft_model_state_dict(loaded)
    assert saved.keys() == loaded_state.keys()
    assert all(loaded_state[key].dtype == torch.float32 and torch.equal(saved[key], loaded_state[key]) for key in saved)


@needs_saved_biases
@pytest.mark.parametrize("bias", ["all", "only"])
def test_trained_biases_and_saved_modules_are_loaded(method, tiny, tmp_path, bias):
    bias = bias if bias == "all" else f"{method.prefix}only"
    config = method(target_modules=["value"], bias=bias, modules_to_save=["classifier"])
    model = get_peft_model(tiny.bert(), config)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) / 10)
    before = tiny.logits(model)
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path)), before)


def test_a_loaded_adapter_trains_on_demand(method, tiny, tmp_path):
    get_peft_model(tiny.mlp(), method(target_modules=["0"])).save_pretrained(tmp_path)
    for trains in (False, True):
        model = PeftModel.from_pretrained(tiny.mlp(), tmp_path, is_trainable=trains)
        assert {p.requires_grad for n, p in model.named_parameters() if method.prefix in n} == {trains}


@needs_adapter_methods
def test_transformers_own_adapter_methods(method, tiny, tmp_path):
    model, base = tiny.bert(), tiny.logits(tiny.bert())
    model.add_adapter(method(target_modules=["value"]))
    before = tiny.logits(model)
    assert not torch.allclose(before, base)
    model.save_pretrained(tmp_path)
    for name in ("default", "other"):
        other = tiny.bert()
        other.load_adapter(tmp_path, adapter_name=name)
        assert torch.equal(tiny.logits(other.eval()), before)
    other.disable_adapters()
    assert torch.equal(tiny.logits(other), base)
