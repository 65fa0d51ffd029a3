"""`circpeft export --to peft-c3a`: PEFT's own C3A computes the same ΔW from the file; other methods are refused."""

import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from circpeft.cli import main
from circpeft.export import export_peft_c3a

IDS = torch.arange(12)[None]


@pytest.mark.parametrize("layout", ["row", "column"])
def test_pefts_c3a_gives_the_adapters_outputs(layout, base, saved, tmp_path, capsys):
    adapter = saved("c3a", base, layout=layout)
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "peft-c3a"]) == 0
    assert "PEFT's C3A in 6 layers" in capsys.readouterr().out
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "out").eval()
    assert theirs.peft_config["default"].peft_type == "C3A"
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, adapter.model(IDS).logits, rtol=1e-4, atol=1e-4)
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "again"), "--to", "peft-c3a"]) == 2
    assert "is an adapter of PEFT's own C3A already" in capsys.readouterr().err


def test_another_delta_is_found(base, saved, tmp_path, monkeypatch):
    adapter = saved("c3a", base)
    monkeypatch.setattr("circpeft.export.pefts_c3a.LARGEST_ERROR", -1.0)
    with pytest.raises(ValueError, match="computes another ΔW"):
        export_peft_c3a(adapter.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_layer_with_nan_is_found_wherever_it_is(base, saved, tmp_path, monkeypatch):
    adapter, errors = saved("c3a", base), iter([0.0, math.nan, *[0.0] * 99])
    monkeypatch.setattr("circpeft.export.pefts_c3a._relative_error", lambda *_: next(errors))
    with pytest.raises(ValueError, match="relative error nan"):
        export_peft_c3a(adapter.folder, tmp_path / "out")


def test_other_methods_are_refused(base, saved, tmp_path, capsys):
    adapter = saved("cdvft", base)
    assert main(["export", adapter.folder, str(tmp_path / "out"), "--to", "peft-c3a"]) == 2
    assert "is an adapter of CDVFT, which PEFT's C3A cannot express" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
