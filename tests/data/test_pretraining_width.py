"""The pre-training scripts refuse a width that their attention heads do not divide, and keep the course's models."""

import importlib.util
import json

import pytest

from circpeft import results


@pytest.fixture(scope="module", params=["small_vit", "small_llama"])
def script(request):
    path = results.ROOT / "data" / request.param / "pretrain.py"
    spec = importlib.util.spec_from_file_location(f"pretrain_{request.param}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "100", "--to", "elsewhere"], "--width must be a positive multiple of 32, got 100"),
        (["--width", "0", "--to", "elsewhere"], "--width must be a positive multiple of 32, got 0"),
        (["--width", "64"], "--width 64 needs --to FOLDER"),
    ],
)
def test_a_width_that_does_not_fit_is_refused(script, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("sys.argv", ["pretrain.py", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert message in capsys.readouterr().err


def test_the_default_width_and_heads_are_those_of_the_course(script):
    config = json.loads((script.HERE / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_size"] == script.WIDTH
    assert config["hidden_size"] // config["num_attention_heads"] == script.HEAD
