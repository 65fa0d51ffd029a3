"""The tuner for ms-swift, with ms-swift's own import of external plug-ins and its table of tuners."""

SCRIPT = """
import sys
from types import SimpleNamespace
import torch
from swift.utils import import_external_file
from swift.tuner_plugin import tuners_map
from transformers import AutoModelForCausalLM

import_external_file(sys.argv[1])
tuner = tuners_map["c3a"]

def base(is_multimodal=False):
    model = AutoModelForCausalLM.from_pretrained("MODEL")
    model.model_meta = SimpleNamespace(is_multimodal=is_multimodal)
    return model

def arguments(**changes):
    usual = {"task_type": "causal_lm", "target_modules": ["all-linear"], "modules_to_save": []}
    return SimpleNamespace(**usual | changes)

ids = torch.arange(40, 60).view(2, 10)
model = tuner.prepare_model(arguments(target_modules=["q_proj", "v_proj"]), base())
trained = [name for name, p in model.named_parameters() if p.requires_grad]
assert len(trained) == 4 and all("circonv_" in name for name in trained), trained
config = model.peft_config["default"]
assert config.block_size == 16 and config.task_type == "CAUSAL_LM"
assert sum(p.requires_grad for p in tuner.prepare_model(arguments(), base()).parameters()) == 14
try:
    tuner.prepare_model(arguments(), base(is_multimodal=True))
except ValueError as error:
    assert "give the names of linear layers" in str(error)
else:
    raise AssertionError("a model with images")
model(ids, labels=ids).loss.backward()
with torch.no_grad():
    for p in model.parameters():
        if p.requires_grad:
            p -= 0.1 * p.grad
tuner.save_pretrained(model, "swift-trained")
again = tuner.from_pretrained(base(), "swift-trained", is_trainable=True)
assert torch.allclose(again(ids).logits, model(ids).logits)
assert sum(p.requires_grad for p in again.parameters()) == 4

from circpeft.hosts.swift_plugin import register
try:
    register("ia3", config)
except ValueError as error:
    assert "under another name" in str(error)
else:
    raise AssertionError("ms-swift's own tuner was replaced")
print("trained")
"""


def test_the_file_of_the_page_registers_a_tuner_that_trains_saves_and_loads(run_in_host, example, folder):
    file = folder / "c3a.py"
    file.write_text(example("ms-swift", "python"), encoding="utf-8")
    assert run_in_host("swift", SCRIPT, str(file)).endswith("trained\n")
