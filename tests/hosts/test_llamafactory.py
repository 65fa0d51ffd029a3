"""The way for LLaMA-Factory: an untrained adapter on disk, which PEFT continues as LLaMA-Factory does."""

import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM


def test_the_untrained_adapter_of_the_page_changes_nothing_and_trains(example, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(example("LLaMA-Factory", "python"), {})
    settings = yaml.safe_load(example("LLaMA-Factory", "yaml"))
    base = AutoModelForCausalLM.from_pretrained(settings["model_name_or_path"])
    ids = torch.arange(40, 60).view(2, 10)
    before = base(ids).logits
    model = PeftModel.from_pretrained(base, settings["adapter_name_or_path"], is_trainable=True)
    assert torch.allclose(model(ids).logits, before, atol=1e-5)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 4 and all("circonv_" in name for name in trained)
    loss = model(ids, labels=ids).loss
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p -= 0.1 * p.grad
    assert model(ids, labels=ids).loss < loss
