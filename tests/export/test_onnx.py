"""`circpeft export --to onnx`: onnxruntime gives the adapter's outputs for any batch and length."""

import numpy as np
import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForSequenceClassification, ViTConfig, ViTForImageClassification

from circpeft import C3AConfig
from circpeft.cli import main
from circpeft.export import export_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


def run(folder, **inputs):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


def test_a_language_model_gives_the_adapters_outputs(base, saved, tmp_path, capsys):
    adapter = saved("c3a", base)
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "onnx"]) == 0
    assert "input_ids, attention_mask -> logits" in capsys.readouterr().out
    ids, mask = torch.arange(3, 18).view(3, 5), torch.ones(3, 5, dtype=torch.long)
    (logits,) = run(tmp_path / "out", input_ids=ids, attention_mask=mask)
    with torch.no_grad():
        np.testing.assert_allclose(logits, adapter.model(ids).logits.numpy(), rtol=1e-3, atol=1e-4)
    assert {"config.json", "tokenizer.json"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.full
def test_classifiers_of_texts_and_images_are_exported(tiny, tmp_path):
    tiny.bert().save_pretrained(tmp_path / "bert")
    config = C3AConfig(target_modules=["query"], task_type="SEQ_CLS", init_weights=False, block_size=8)
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "bert")
    get_peft_model(base, config).save_pretrained(tmp_path / "texts")
    done = export_onnx(tmp_path / "texts", tmp_path / "texts_out")
    assert done.inputs[:2] == ("input_ids", "attention_mask") and done.outputs == ("logits",)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    base = ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, num_labels=3, **sizes))
    base.save_pretrained(tmp_path / "vit")
    config = C3AConfig(target_modules=["q_proj"], modules_to_save=["classifier"], init_weights=False)
    get_peft_model(ViTForImageClassification.from_pretrained(tmp_path / "vit"), config).save_pretrained(
        tmp_path / "pics"
    )
    done = export_onnx(tmp_path / "pics", tmp_path / "pics_out")
    assert done.inputs == ("pixel_values",) and done.difference < 1e-4
    (logits,) = run(tmp_path / "pics_out", pixel_values=torch.randn(5, 3, 8, 8))
    assert logits.shape == (5, 3)


@pytest.mark.parametrize("difference", [0.01, float("nan")])
def test_outputs_that_differ_are_refused(difference, base, saved, tmp_path, monkeypatch):
    adapter = saved("c3a", base)
    monkeypatch.setattr("circpeft.export.onnx_model._write", lambda *arguments: None)
    monkeypatch.setattr("circpeft.export.onnx_model._compared", lambda *arguments: (difference, 2.0))
    with pytest.raises(
        ValueError, match=f"onnxruntime's outputs differ by {difference:.2g} from torch's, more than 0.001"
    ):
        export_onnx(adapter.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
