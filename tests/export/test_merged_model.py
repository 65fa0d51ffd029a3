"""`circpeft merge`: a saved adapter becomes a plain model that gives the same outputs, whole or not at all."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForImageClassification, AutoModelForSequenceClassification

from circpeft import C3AConfig, CDVFTConfig, models
from circpeft.cli import main
from circpeft.export import AdapterFolder, merge_folder

CONFIGS = {
    "c3a": lambda **kw: C3AConfig(target_modules=["q_proj", "up_proj"], block_size=32, init_weights=False, **kw),
    "cdvft": lambda **kw: CDVFTConfig(target_modules=["q_proj", "up_proj"], block_size=32, init_weights=False, **kw),
    "lora": lambda **kw: LoraConfig(target_modules=["q_proj", "up_proj"], init_lora_weights=False, **kw),
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def saved(folder, method="c3a", scale=1.0):
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(models.resolve("small-llama")), CONFIGS[method](task_type="CAUSAL_LM")
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.mul_(scale)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("method", CONFIGS)
def test_the_plain_model_gives_the_adapters_outputs(method, tmp_path):
    adapted = saved(tmp_path / "adapter", method)
    done = merge_folder(tmp_path / "adapter", tmp_path / "out")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)
    assert done.layers == 8 and done.dtype == "float32" and abs(done.kept - 1) < 1e-3
    base = AutoModelForCausalLM.from_pretrained(models.resolve("small-llama"))
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in base.state_dict().items()}
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert not {path.name for path in (tmp_path / "out").iterdir()} & {"adapter_config.json"}


def test_a_rounded_model_tells_what_it_keeps(tmp_path, capsys):
    saved(tmp_path / "adapter", scale=0.02)  # a small ΔW, much of it below the precision of bfloat16
    assert main(["merge", str(tmp_path / "adapter"), str(tmp_path / "out"), "--dtype", "bfloat16"]) == 0
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").dtype == torch.bfloat16
    printed = capsys.readouterr().out
    assert "8 layers merged, in bfloat16" in printed and "the rounding keeps" in printed


def test_classes_of_a_saved_head_are_found(tmp_path):
    base = AutoModelForSequenceClassification.from_pretrained(models.resolve("minilm"), num_labels=5)
    config = C3AConfig(target_modules=["query"], task_type="SEQ_CLS", init_weights=False)
    adapted = get_peft_model(base, config).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    merge_folder(tmp_path / "adapter", tmp_path / "out")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(100, 112)[None]
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)
    assert plain.config.num_labels == 5


def test_a_class_that_the_config_names_is_loaded(tmp_path):
    base = AutoModelForImageClassification.from_pretrained(models.resolve("small-vit"), num_labels=10)
    config = C3AConfig(target_modules=["q_proj"], modules_to_save=["classifier"], init_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    assert merge_folder(tmp_path / "adapter", tmp_path / "out", base="small-vit").layers == 4
    assert (tmp_path / "out" / "preprocessor_config.json").is_file()


def edit(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_adapter_cannot_choose_code_to_import(tmp_path):
    saved(tmp_path / "adapter")
    edit(tmp_path / "adapter", task_type=None, auto_mapping={"parent_library": "antigravity", "base_model_class": "X"})
    with pytest.raises(ValueError, match="'X' of 'antigravity'.*expected one of CAUSAL_LM"):
        AdapterFolder.open(tmp_path / "adapter").load_base()


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"base_model_name_or_path": ""}, [], "names no base model"),
        ({"base_model_name_or_path": "/nowhere/model"}, [], "model folder '/nowhere/model' does not exist"),
        ({}, ["--base", "smal-llama"], "small-llama"),
        ({}, ["--dtype", "bfloat"], "did you mean 'bfloat16'"),
        ({}, ["--base", "small-vit"], "base model 'small-vit' (vit) is not one that AutoModelForCausalLM loads"),
    ],
)
def test_what_cannot_be_merged_leaves_nothing_behind(changes, arguments, message, tmp_path, capsys):
    saved(tmp_path / "adapter")
    edit(tmp_path / "adapter", **changes)
    before = sorted(tmp_path.iterdir())
    assert main(["merge", str(tmp_path / "adapter"), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    saved(tmp_path / "adapter")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        merge_folder(tmp_path / "adapter", tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_folders_that_are_not_adapters_or_not_empty_are_refused(tmp_path, capsys):
    saved(tmp_path / "runs" / "adapter")
    assert main(["merge", str(tmp_path / "runs"), str(tmp_path / "out")]) == 2
    assert "has no adapter_config.json" in (error := capsys.readouterr().err) and "runs/adapter" in error
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    assert main(["merge", str(tmp_path / "runs" / "adapter"), str(tmp_path / "full")]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    (tmp_path / "runs" / "adapter" / "adapter_config.json").write_text("[1]")
    assert main(["merge", str(tmp_path / "runs" / "adapter"), str(tmp_path / "out")]) == 2
    assert "is a JSON list, expected an object" in capsys.readouterr().err
