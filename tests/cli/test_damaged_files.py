"""A damaged file of a model is one line and an exit code of every command that reads it, not a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peft import get_peft_model
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from circpeft import C3AConfig, models
from circpeft.cli import main


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_field(name: str, value: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | {name: value}).encode()


CONFIGS = {
    "cut": cut,
    "a list": lambda content: b"[]",
    "text for a number": with_field("hidden_size", "x"),
    "no heads": with_field("num_attention_heads", 0),
    "an unknown activation": with_field("hidden_act", "gellu"),
}
OTHERS = {
    "weights, cut": ("model.safetensors", cut),
    "weights, another format": ("model.safetensors", lambda content: b"\xff" * 64),
    "tokenizer, cut": ("tokenizer.json", cut),
    "tokenizer, a list": ("tokenizer.json", lambda content: b"[]"),
}


@pytest.fixture
def model(tmp_path) -> Path:
    """Return the folder of a copy of small-llama."""
    disable_progress_bar()
    return Path(shutil.copytree(models.resolve("small-llama"), tmp_path / "model"))


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def error_of(arguments: list[str], capsys) -> str:
    """Return the last line that a command writes to stderr; it must fail with one line about the error."""
    code = main(arguments)
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if ": error: " in line]
    assert code in (1, 2) and len(lines) == 1 and error.splitlines()[-1] == lines[0], error
    return lines[0]


@pytest.mark.parametrize("how", CONFIGS)
def test_rates_with_a_damaged_config(model, how, capsys):
    damage(model / "config.json", CONFIGS[how])
    assert error_of(["rates", str(model)], capsys).startswith("circpeft rates: error: ")


@pytest.mark.parametrize("how", OTHERS)
def test_train_with_a_damaged_model(model, how, tmp_path, capsys):
    name, change = OTHERS[how]
    damage(model / name, change)
    settings = {"model": str(model), "max_train": "4", "max_eval": "2"}
    given = [word for name, value in settings.items() for word in ("--set", name, value)]
    command = ["train", "c3a", "--task", "word_problems", "--profile", "smoke", "--output-dir", str(tmp_path / "out")]
    error = error_of([*command, *given, "--quiet"], capsys)
    part = how.partition(",")[0]
    assert f"the {part} of model '{model}' cannot be read" in error and "save or download the model again" in error


@pytest.mark.parametrize("how", OTHERS)
def test_merge_with_a_damaged_base_model(model, how, tmp_path, capsys):
    """Without a tokenizer, the merged model is still of use, so a damaged one is named in a warning."""
    config = C3AConfig(block_size=8, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(tmp_path / "adapter")
    name, change = OTHERS[how]
    damage(model / name, change)
    command = ["merge", str(tmp_path / "adapter"), str(tmp_path / "out")]
    if "weights" in how:
        assert f"the weights of model '{model}' cannot be read" in error_of(command, capsys)
        assert not (tmp_path / "out").exists()
        return
    with pytest.warns(UserWarning, match="cannot be read and is left out; save or download tokenizer.json again"):
        assert main(command) == 0
    assert not (tmp_path / "out" / "tokenizer.json").exists()
