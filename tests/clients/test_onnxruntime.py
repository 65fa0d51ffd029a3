"""ONNX: a merged model runs in onnxruntime with any batch and length; torch refuses to export an unmerged one."""

import logging

import pytest
import torch
from peft import get_peft_model

import circpeft

from .logits import Logits

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
AUTO = torch.export.Dim.AUTO


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)


def test_a_merged_model_gives_the_same_logits_in_onnxruntime(tiny, method, tmp_path):
    adapted = get_peft_model(tiny.bert(), method(target_modules=["query", "dense"])).eval()
    ids = [torch.arange(12).view(2, 6), torch.arange(20).view(4, 5)]
    with torch.no_grad():
        expected = [adapted(x).logits for x in ids]
    assert not torch.allclose(expected[0], tiny.logits(tiny.bert()), atol=0.1)
    path = str(tmp_path / "model.onnx")
    program = Logits(circpeft.merge(adapted)).eval()
    torch.onnx.export(program, (ids[0],), path, dynamo=True, verbose=False, dynamic_shapes=({0: AUTO, 1: AUTO},))
    session = onnxruntime.InferenceSession(path)
    for x, logits in zip(ids, expected, strict=True):
        (output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), logits, rtol=1e-4, atol=1e-5)


def test_an_unmerged_model_is_refused_with_the_name_of_the_operator(tiny, method, tmp_path):
    adapted = get_peft_model(tiny.mlp(), method(target_modules=["0"])).eval()
    x = torch.randn(3, 8)
    program = torch.export.export(adapted, (x,))
    operator = "block_circular_matmul|diagonal_matmul|adapted_matmul"
    with pytest.raises(Exception, match=rf"(?s)No ONNX function found.*circpeft\.({operator})"):
        torch.onnx.export(program, (), str(tmp_path / "model.onnx"), dynamo=True, verbose=False)
    assert not (tmp_path / "model.onnx").exists()
