"""`circpeft export --to lora`: PEFT loads the LoRA, its error is reported, and a larger one is refused."""

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from circpeft import C3AConfig
from circpeft.cli import main
from circpeft.export import export_lora
from circpeft.hf_peft import lora_error

IDS = torch.arange(12)[None]


@pytest.mark.parametrize("method", ["c3a", "cdvft"])
def test_a_lora_of_full_rank_gives_the_adapters_outputs(method, base, saved, tmp_path):
    adapter = saved(method, base)
    done = export_lora(adapter.folder, tmp_path / "lora", tolerance=0.0)
    ranks = {name: done.ranks[f"model.layers.0.self_attn.{name}_proj"] for name in "qv"}
    assert done.error < 1e-3 and ranks["q"] > 16 >= ranks["v"]  # of 32 and 16 features
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "lora").eval()
    assert theirs.peft_config["default"].peft_type == "LORA" and theirs.peft_config["default"].task_type == "CAUSAL_LM"
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, adapter.model(IDS).logits, rtol=1e-3, atol=1e-3)


def test_the_reported_errors_are_those_of_lora_error(base, saved, tmp_path):
    adapter = saved("c3a", base)
    done = export_lora(adapter.folder, tmp_path / "lora", rank=3, tolerance=0.99)
    for rank, error in done.errors.items():
        assert error == pytest.approx(lora_error(adapter.model, rank).overall, abs=1e-6)
    assert done.error == pytest.approx(done.errors[3], abs=1e-6) and {*done.ranks.values()} == {3}
    assert list(done.errors) == sorted(done.errors) and {1, 2, 3, 4, 8, 16} <= set(done.errors)


def test_a_larger_error_is_refused_with_the_rank_that_would_do(base, saved, tmp_path, capsys):
    adapter = saved("c3a", base, target_modules=["q_proj", "up_proj"], exclude_modules=["model.layers.1.mlp.up_proj"])
    command = ["export", adapter.folder, str(tmp_path / "lora"), "--to", "lora"]
    assert main([*command, "--rank", "2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "a LoRA of rank 2 has a relative error of 0." in error
    assert not (tmp_path / "lora").exists()
    enough = int(error.partition("; rank ")[2].split()[0])
    assert main([*command, "--rank", str(enough)]) == 0 and "relative error by rank:" in capsys.readouterr().out
    assert lora_error(adapter.model, enough - 1).overall > 0.1 >= lora_error(adapter.model, enough).overall


def test_a_classifier_of_several_parts_is_kept(tiny, tmp_path):
    """PEFT's conversion gives the parts of RoBERTa's classifier one key, so that one of them is lost."""
    base = tiny.roberta()
    base.save_pretrained(tmp_path / "base")
    config = C3AConfig(target_modules=["query"], task_type="SEQ_CLS", init_weights=False, block_size=8)
    adapted = get_peft_model(AutoModelForSequenceClassification.from_pretrained(tmp_path / "base"), config).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".modules_to_save." in name:
                parameter.add_(0.1)
        adapted.save_pretrained(tmp_path / "adapter")
        export_lora(tmp_path / "adapter", tmp_path / "lora", tolerance=0.0)
        fresh = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
        theirs = PeftModel.from_pretrained(fresh, tmp_path / "lora").eval()
        torch.testing.assert_close(theirs(tiny.ids).logits, adapted(tiny.ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("lora", [], "is a LoRA already"),
        (
            "c3a",
            ["--rank", "33"],
            "rank 33 exceeds the dimensions of a layer; the largest rank that every layer takes is",
        ),
        ("c3a", ["--rank", "-1"], "rank must be a positive integer"),
        ("c3a", ["--tolerance", "1"], "tolerance must be a relative error"),
        ("c3a", ["--converter", "x"], "--converter is for --to gguf, got --to lora"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(method, arguments, message, base, saved, tmp_path, capsys):
    adapter = saved(method, base)
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "lora", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()
