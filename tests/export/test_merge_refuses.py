"""`circpeft merge` reads nothing but the adapter's weights, of any method, and a run starts from no adapter."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from circpeft import models
from circpeft.cli import main

KEY = "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight"


@pytest.fixture
def adapter(tmp_path):
    base = AutoModelForCausalLM.from_pretrained(models.resolve("small-llama"))
    config = LoraConfig(target_modules=["q_proj"], r=2, task_type="CAUSAL_LM", base_model_name_or_path="small-llama")
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def merged(adapter, capsys):
    status = main(["merge", str(adapter), str(adapter.parent / "out"), "--base", "small-llama"])
    assert not (adapter.parent / "out").exists()
    assert status == 2
    return capsys.readouterr().err


def test_a_weight_of_the_base_model(adapter, capsys):
    file = adapter / "adapter_model.safetensors"
    state = load_file(file)
    width = next(tensor.shape[1] for key, tensor in state.items() if "lora_A" in key)
    save_file({**state, KEY: torch.ones(width, width)}, file, metadata={"format": "pt"})
    assert f"{KEY!r}, which is not a weight of its adapter" in merged(adapter, capsys)


def test_a_pickle(adapter, capsys):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert "adapter_model.bin is a pickle" in merged(adapter, capsys)


@pytest.mark.parametrize(
    ("field", "value"),
    [("peft_type", "LORAA"), ("peft_type", 3), ("r", -1), ("task_type", [1]), ("target_modules", "(a+)+")],
)
def test_a_wrong_value(adapter, capsys, field, value):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    assert str(adapter) in merged(adapter, capsys)


@pytest.mark.parametrize("mapping", [3, {"parent_library": "transformers.nowhere", "base_model_class": "X"}])
def test_a_class_that_does_not_exist(adapter, capsys, mapping):
    file = adapter / "adapter_config.json"
    changes = {"task_type": None, "auto_mapping": mapping}
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    assert "the class of the base model is not known" in merged(adapter, capsys)


def test_a_run_does_not_start_from_a_folder_with_an_adapter(adapter, tmp_path, capsys):
    """transformers would load the adapter with the model, whatever it holds."""
    AutoModelForCausalLM.from_pretrained(models.resolve("small-llama")).save_pretrained(adapter)
    with pytest.raises(ValueError, match="also holds an adapter; write a plain model with `circpeft merge`"):
        models.resolve(str(adapter))
    arguments = ["train", "c3a", "--task", "word_problems", "--set", "model", str(adapter)]
    assert main([*arguments, "--output-dir", str(tmp_path / "run")]) == 2
    assert "also holds an adapter" in capsys.readouterr().err
