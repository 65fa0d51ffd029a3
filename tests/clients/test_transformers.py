"""transformers without PEFT's wrapper: `pipeline`, and a model's own `add_adapter`, `load_adapter` and switches."""

import json
from pathlib import Path

import peft
import pytest
import torch
import transformers
from packaging.version import Version
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

import circpeft

pytestmark = pytest.mark.skipif(
    Version(peft.__version__) < Version("0.20") and Version(transformers.__version__) >= Version("5"),
    reason=f"transformers {transformers.__version__} wants peft >= 0.20 for its own adapter methods",
)
PROMPT = "the circle turns"
GREEDY = {"max_new_tokens": 12, "do_sample": False, "return_full_text": False}


@torch.no_grad()
def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return model.eval()(ids).logits


def completion(model: object, tokenizer: object) -> str:
    return pipeline("text-generation", model=model, tokenizer=tokenizer)(PROMPT, **GREEDY)[0]["generated_text"]


def test_a_pipeline_with_an_adapter_answers_like_the_merged_model(llama_adapter, tmp_path):
    merged = llama_adapter.merge(tmp_path / "merged")
    answer = completion(merged, merged)
    assert completion(llama_adapter.folder, llama_adapter.base) == answer
    model, tokenizer = (cls.from_pretrained(llama_adapter.base) for cls in (AutoModelForCausalLM, AutoTokenizer))
    assert completion(model, tokenizer) != answer
    model.load_adapter(llama_adapter.folder)
    assert completion(model, tokenizer) == answer


def test_a_model_loads_switches_and_deletes_adapters(llama_adapter):
    ids, expected, of_base = llama_adapter.ids, llama_adapter.logits, llama_adapter.base_logits
    model = AutoModelForCausalLM.from_pretrained(llama_adapter.folder)
    assert torch.equal(logits(model, ids), expected)
    model.load_adapter(llama_adapter.folder, adapter_name="second")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".second.kernel" in name:
                weight.mul_(-1)
    model.set_adapter("second")
    second = logits(model, ids)
    assert not torch.allclose(second, expected, atol=0.1) and not torch.allclose(second, of_base, atol=0.1)
    model.set_adapter("default")
    assert torch.equal(logits(model, ids), expected)
    model.disable_adapters()
    assert torch.equal(logits(model, ids), of_base)
    model.enable_adapters()
    assert torch.equal(logits(model, ids), expected)
    model.set_adapter(["default", "second"])
    assert not torch.allclose(logits(model, ids), expected, atol=0.1)
    model.set_adapter("default")
    model.delete_adapter("second")
    assert torch.equal(logits(model, ids), expected) and model.active_adapters() == ["default"]


def test_only_an_added_adapter_trains_and_is_saved(method, llama_folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(llama_folder)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.add_adapter(method(target_modules=["q_proj", "down_proj"], init_weights=True), adapter_name="mine")
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert trained and all(method.prefix in n for n, weight in model.named_parameters() if weight.requires_grad)
    optimizer = torch.optim.SGD(trained, lr=1.0)
    ids = torch.arange(40, 64).view(2, 12)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses
    after = {name.replace(".base_layer", ""): weight for name, weight in model.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    model.save_pretrained(tmp_path / "saved")
    assert {path.suffix for path in Path(tmp_path / "saved").iterdir()} <= {".json", ".safetensors", ".md"}
    assert not (tmp_path / "saved" / "model.safetensors").exists()
    assert json.loads((tmp_path / "saved" / "adapter_config.json").read_text())["peft_type"] == method.name
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits(loaded, ids), logits(model, ids))


def test_a_merged_model_is_saved_as_a_plain_one(llama_adapter, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(llama_adapter.folder)
    circpeft.merge(model).save_pretrained(tmp_path / "merged")
    assert not list((tmp_path / "merged").glob("adapter_*"))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not any("adapters" in name for name in plain.state_dict())
    torch.testing.assert_close(logits(plain, llama_adapter.ids), llama_adapter.logits, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="No adapter loaded"):
        model.disable_adapters()
