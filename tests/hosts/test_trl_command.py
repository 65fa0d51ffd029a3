"""TRL's scripts with our adapters: the example of the page trains, and wrong settings stop before a model is loaded."""

import json

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

trl = pytest.importorskip("trl")

from circpeft.hosts import trl_command  # noqa: E402


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["c3a", "cdvft"])
def test_the_example_trains_the_adapter_and_saves_it(example, folder, monkeypatch, method):
    monkeypatch.chdir(folder)
    settings = yaml.safe_load(example("TRL's command line", "yaml"))
    settings |= {"adapter": method, "output_dir": method, "learning_rate": 0.05, "max_steps": 8}
    settings |= {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
    (folder / f"{method}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    trl_command.main(["sft", "--config", f"{method}.yaml", "--logging_steps", "1"])
    config = json.loads((folder / method / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["peft_type"] == {"c3a": "CIRCONV", "cdvft": "CDVFT"}[method] and config["block_size"] == 16
    assert sorted(config["target_modules"]) == ["q_proj", "v_proj"] and config["task_type"] == "CAUSAL_LM"
    assert any(
        tensor.abs().max() > 0.01 for tensor in load_file(folder / method / "adapter_model.safetensors").values()
    )
    base = AutoModelForCausalLM.from_pretrained("MODEL", dtype=torch.float32).eval()
    ids = torch.arange(40, 60).view(2, 10)
    before = base(ids).logits
    assert not torch.allclose(PeftModel.from_pretrained(base, method)(ids).logits, before, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "unknown script ''"),
        (["sfd"], "unknown script 'sfd'; did you mean 'sft'?"),
        (["sft", "--adapter", "c3b"], "trl_command sft: error: unknown method 'c3b'; did you mean 'c3a'?"),
        (["sft", "--adapter_fields", "blok_size=8"], "did you mean 'block_size'?"),
        (["sft", "--adapter_fields", "block_size"], "--adapter_fields takes NAME=VALUE, got 'block_size'"),
        (["sft", "--adapter_fields", "block_size=x"], "block_size"),
        (["sft", "--lora_r", "4"], "lora_r=4 is a setting of LoRA"),
    ],
    ids=str,
)
def test_a_wrong_setting_ends_with_one_line(arguments, message):
    with pytest.raises(SystemExit) as ended:
        trl_command.main(
            [*arguments, "--output_dir", "x", "--bf16", "False"] if arguments[:1] == ["sft"] else arguments
        )
    assert message in str(ended.value) and "\n" not in str(ended.value)


@pytest.mark.parametrize("name", trl_command.SCRIPTS)
def test_every_script_takes_the_two_arguments_and_reads_the_config_from_trl(name):
    from importlib import import_module
    from inspect import getsource

    script = import_module(f"trl.scripts.{name}")
    assert "get_peft_config" in getsource(script.main) and trl.ModelConfig in script.make_parser().dataclass_types
    options = trl.TrlParser([*script.make_parser().dataclass_types, trl_command.AdapterArguments]).format_help()
    assert "--adapter_fields" in options
