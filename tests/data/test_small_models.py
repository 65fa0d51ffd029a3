"""The two small models of the course agree with their cards and training records."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, ViTForImageClassification, ViTModel

from circpeft import models

FOLDERS = {"small-vit": "small_vit", "small-llama": "small_llama"}


def record(name: str) -> dict:
    return json.loads((models.DATA / FOLDERS[name] / "pretraining.json").read_text())


def card(name: str) -> str:
    return (models.DATA / FOLDERS[name] / "README.md").read_text()


def script(name: str):
    path = models.DATA / FOLDERS[name] / "pretrain.py"
    spec = importlib.util.spec_from_file_location(f"{FOLDERS[name]}_pretrain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FOLDERS)
def test_the_card_has_the_numbers_of_the_record(name):
    values, text = record(name), card(name)
    assert f"{values['parameters']:,} parameters" in text and f"{values['steps']:,} steps" in text
    share = values.get("accuracy_on_new_handwriting", values.get("sums_right"))
    assert f"{share:.3f}" in text and share > 0.9
    weights = Path(models.resolve(name)) / "model.safetensors"
    assert weights.stat().st_size < 5e6


@pytest.mark.parametrize("name", FOLDERS)
def test_a_few_steps_of_pre_training_write_the_same_files(name, tmp_path, monkeypatch, capsys):
    """Three steps of the committed script write the same files, settings and names as those of the model."""
    module = script(name)
    monkeypatch.setattr("sys.argv", ["pretrain.py", "--steps", "3", "--to", str(tmp_path)])
    if name == "small-llama":
        monkeypatch.setattr(module, "share_right", lambda model, tokenizer: 0.0)  # saves half a minute
    torch.set_num_threads(1)
    module.main()
    shipped = Path(models.resolve(name))
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in shipped.iterdir()} - {
        "README.md",
        "pretrain.py",
        "__pycache__",
    }
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        if (shipped / file).exists():
            assert json.loads((tmp_path / file).read_text()) == json.loads((shipped / file).read_text()), file
    fresh = json.loads((tmp_path / "pretraining.json").read_text())
    assert set(fresh) == set(record(name)) and fresh["seed"] == record(name)["seed"]


def test_the_features_of_the_vision_transformer_separate_unseen_digits():
    """A nearest-class-mean classifier on its states is far better than one on those of an untrained model."""
    from circpeft import tasks

    data = tasks.load("digits")[0]
    pixels = {
        split: torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in rows["image"][:400]]) / 127.5 - 1
        for split, rows in data.items()
    }
    labels = {split: torch.tensor(rows["label"][:400]) for split, rows in data.items()}

    @torch.no_grad()
    def accuracy(model: ViTModel) -> float:
        states = {split: model.eval()(pixels[split]).last_hidden_state[:, 0] for split in ("train", "test")}
        means = torch.stack([states["train"][labels["train"] == c].mean(0) for c in range(5)])
        return (torch.cdist(states["test"], means).argmin(1) == labels["test"]).double().mean().item()

    learnt = ViTForImageClassification.from_pretrained(models.resolve("small-vit")).vit
    torch.manual_seed(0)
    assert accuracy(learnt) > accuracy(ViTModel(learnt.config)) + 0.1


def test_the_language_model_calculates_but_does_not_answer_questions():
    folder = models.resolve("small-llama")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()

    def completion(text: str, count: int) -> str:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        return tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)

    results = {"23 + 45 =": "68", "90 - 17 =": "73", "7 * 8 =": "56", "8 + 5 =": "13", "60 - 60 =": "0"}
    completed = {text: re.match(r"\s*(\d*)", completion(f"1 + 1 = 2\n{text}", 4))[1] for text in results}
    assert sum(completed[text] == result for text, result in results.items()) >= 4, completed
    assert "####" not in completion("### Instruction:\nAnna has 2 pens. How many pens?\n\n### Response:\n", 20)
    assert "3" == tokenizer.decode(tokenizer("3")["input_ids"]) and len(tokenizer("345")["input_ids"]) == 3
