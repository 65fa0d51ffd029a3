"""Without `import circpeft`, PEFT and transformers do not know our adapters: which error each way of loading gives.

docs/peft.md has the same list, under the words of the error.
"""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import transformers
from packaging.version import Version
from peft import get_peft_model
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from circpeft import results

WAYS = """
import sys
from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, pipeline

def base():
    return AutoModelForCausalLM.from_pretrained("base")

WAYS = {
    "PeftModel.from_pretrained": lambda folder: PeftModel.from_pretrained(base(), folder),
    "AutoPeftModelForCausalLM.from_pretrained": lambda folder: AutoPeftModelForCausalLM.from_pretrained(folder),
    "PeftConfig.from_pretrained": lambda folder: PeftConfig.from_pretrained(folder),
    "AutoModelForCausalLM.from_pretrained": lambda folder: AutoModelForCausalLM.from_pretrained(folder),
    "load_adapter": lambda folder: base().load_adapter(folder),
    "pipeline": lambda folder: pipeline("text-generation", model=folder, tokenizer="base"),
}
errors = {}
for method in ("CIRCONV", "CDVFT"):
    for name, load in WAYS.items():
        try:
            load(method)
        except Exception as error:
            errors[f"{method} {name}"] = f"{type(error).__name__}: {error}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny, methods) -> Path:
    """Return a folder with a base model, its tokenizer, and an adapter of each method."""
    path = tmp_path_factory.mktemp("unregistered")
    tiny.gpt2().save_pretrained(path / "base")
    tokenizer = Tokenizer(models.WordLevel({"circle": 0}, unk_token="circle"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="circle").save_pretrained(path / "base")
    for method in methods:
        model = tiny.gpt2()
        model.name_or_path = "base"
        model = get_peft_model(model, method(target_modules=["c_attn"], task_type="CAUSAL_LM"))
        model.save_pretrained(path / method.name)
    (path / "ways.py").write_text(WAYS)
    return path


@pytest.mark.skipif(
    Version(peft.__version__) < Version("0.20") and Version(transformers.__version__) >= Version("5"),
    reason=f"transformers {transformers.__version__} wants peft >= 0.20 for its own adapter methods",
)
def test_every_way_fails_without_circpeft_and_loads_with_it(folder, monkeypatch, methods):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", f"{WAYS}\nimport json\nprint(json.dumps(errors))"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    errors = json.loads(done.stdout.splitlines()[-1])
    assert len(errors) == 12 and {name.split()[0] for name in errors} == {method.name for method in methods}
    for name, message in errors.items():
        assert message == f"KeyError: '{name.split()[0]}'", name
    monkeypatch.chdir(folder)
    assert runpy.run_path("ways.py")["errors"] == {}  # in this process, circpeft is imported


def test_the_page_has_the_words_of_the_error_and_every_way(methods):
    page = (results.ROOT / "docs" / "peft.md").read_text(encoding="utf-8")
    heading, _, section = page.partition("## KeyError")[2].partition("\n")
    assert all(f"'{method.name}'" in heading for method in methods)
    section = section.partition("\n## ")[0]
    assert "`circpeft exec`" in section and "`import circpeft`" in section
    named = re.findall(r'^    "(\w[\w.]*)": lambda', WAYS, re.MULTILINE)
    assert len(named) == 6 and all(f"`{name}`" in section for name in named)
