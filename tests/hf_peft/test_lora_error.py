"""An adapter converted to a LoRA: its error is as predicted, and PEFT loads it without circpeft."""

import numpy as np
import peft
import pytest
import torch
from peft import PeftModel, get_peft_model

import circpeft

needs_conversion = pytest.mark.skipif(
    not hasattr(peft, "convert_to_lora"), reason=f"peft {peft.__version__} has no convert_to_lora"
)
TARGETS = {"bert": ["query", "output.dense"], "gpt2": ["c_attn", "c_proj"]}


def adapted(tiny, method, name: str) -> PeftModel:
    return get_peft_model(getattr(tiny, name)(), method(target_modules=TARGETS[name])).eval()


@needs_conversion
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("rank", [1, 5])
def test_the_error_is_that_of_the_conversion(tiny, method, name, rank):
    model = adapted(tiny, method, name)
    _, state = peft.convert_to_lora(model, rank=rank)
    found, lost, total = circpeft.lora_error(model, rank), 0.0, 0.0
    layers = {n: m for n, m in model.named_modules() if isinstance(m, peft.tuners.tuners_utils.BaseTunerLayer)}
    assert len(found.layers) == len(layers) == len(state) // 2
    for key, layer in layers.items():
        delta = layer.get_delta_weight("default").detach()
        product = state[f"{key}.lora_B.weight"] @ state[f"{key}.lora_A.weight"]
        difference = delta - (product.T if name == "gpt2" else product)
        assert found.layers[layer.name] == pytest.approx(float(difference.norm() / delta.norm()), rel=1e-3)
        lost, total = lost + float(difference.norm() ** 2), total + float(delta.norm() ** 2)
    assert found.overall == pytest.approx((lost / total) ** 0.5, rel=1e-3) and 0.1 < found.overall < 1


@needs_conversion
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_peft_alone_loads_the_lora_of_full_rank_with_the_same_outputs(tiny, method, tmp_path, run_python):
    model = adapted(tiny, method, "bert")
    assert circpeft.lora_error(model, rank=16).overall < 1e-6
    peft.save_as_lora(tmp_path / "lora", model, rank=16)
    tiny.bert().save_pretrained(tmp_path / "base")
    torch.save(tiny.logits(model), tmp_path / "logits.pt")
    script = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification
base = AutoModelForSequenceClassification.from_pretrained(sys.argv[1] + "/base")
model = PeftModel.from_pretrained(base, sys.argv[1] + "/lora").eval()
with torch.no_grad():
    logits = model(torch.arange(12).view(2, 6)).logits
print(float((logits - torch.load(sys.argv[1] + "/logits.pt")).abs().max()), "circpeft" in sys.modules)
"""
    distance, imported = run_python(script, tmp_path).split()
    assert float(distance) < 1e-4 and imported == "False"
    assert not torch.allclose(tiny.logits(model), tiny.logits(tiny.bert()), atol=0.1)


def test_the_error_of_a_new_adapter_is_zero_and_falls_with_the_rank(tiny, method):
    new = get_peft_model(tiny.bert(), circpeft.CDVFTConfig(target_modules=["query"]))
    assert circpeft.lora_error(new, 1).overall == 0
    model = adapted(tiny, method, "bert")
    errors = [circpeft.lora_error(model, rank).overall for rank in (1, 2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-6


@pytest.mark.parametrize(
    ("rank", "name", "message"),
    [
        (0, "default", "rank must be a positive integer, got 0"),
        (0.9, "default", "rank must be a positive integer, got 0.9"),
        (True, "default", "rank must be a positive integer, got True"),
        (17, "default", r"rank 17 exceeds the dimensions of layer '.*query', 16 x 16"),
        (4, "defalt", "the model has no adapter 'defalt'; did you mean 'default'?"),
    ],
)
def test_a_wrong_rank_or_name_is_an_error(tiny, method, rank, name, message):
    with pytest.raises(ValueError, match=message):
        circpeft.lora_error(adapted(tiny, method, "bert"), rank, name)


def test_an_integer_of_numpy_is_a_rank(tiny, method):
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    assert circpeft.lora_error(model, np.int64(2)) == circpeft.lora_error(model, 2)
