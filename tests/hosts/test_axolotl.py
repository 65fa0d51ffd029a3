"""The plug-in for Axolotl, with Axolotl's own loading of plug-ins and check of the YAML file."""

import yaml

START = """
import json, sys
import torch
from axolotl.integrations.base import PluginManager
from axolotl.utils.config import prepare_plugins, validate_config
from axolotl.utils.dict import DictDefault
from transformers import AutoModelForCausalLM

def load(**changes):
    settings = DictDefault({**json.loads(sys.argv[1]), **changes})
    prepare_plugins(settings)
    settings = validate_config(settings)
    model = AutoModelForCausalLM.from_pretrained(settings.base_model)
    return PluginManager.get_instance().load_adapter(model, settings), model

ids = torch.arange(40, 60).view(2, 10)
"""
TRAIN = (
    START
    + """
(adapted, config), _ = load()
assert (config.peft_type, config.block_size, config.task_type) == ("CIRCONV", 16, "CAUSAL_LM"), config
trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
assert len(trained) == 4 and all("circonv_" in name and ("q_proj" in name or "v_proj" in name) for name in trained)
optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=0.05)
losses = []
for _ in range(4):
    loss = adapted(ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
assert losses[-1] < losses[0], losses
adapted.save_pretrained("axolotl-trained")
(again, _), _ = load(lora_model_dir="axolotl-trained")
assert torch.allclose(again(ids).logits, adapted(ids).logits)
assert sum(p.requires_grad for p in again.parameters()) == 4
print("trained")
"""
)
REFUSED = (
    START
    + """
from unittest import mock
for changes, message in [
    ({"lora_r": 8}, "lora_r=8 is a setting of LoRA"),
    ({"circpeft": {"blok_size": 8}}, "did you mean 'block_size'"),
    ({"circpeft": {"block_size": 7}}, "block_size"),
]:
    try:
        load(**changes)
    except (TypeError, ValueError) as error:
        assert message in str(error), error
    else:
        raise AssertionError(changes)
assert load(adapter="cdvft", circpeft={"num_factors": 5})[0][1].num_factors == 5
settings = DictDefault(adapter="lora")
assert PluginManager.get_instance().load_adapter(None, settings) is None
print("refused")
"""
)


def settings(example) -> str:
    import json

    return json.dumps(yaml.safe_load(example("Axolotl", "yaml")))


def test_the_example_trains_and_its_adapter_is_continued(run_in_host, example):
    assert run_in_host("axolotl", TRAIN, settings(example)).endswith("trained\n")


def test_settings_of_lora_and_unknown_fields_are_refused_and_other_adapters_left_alone(run_in_host, example):
    assert run_in_host("axolotl", REFUSED, settings(example)).endswith("refused\n")
