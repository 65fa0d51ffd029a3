"""What the tests of other programs share: the examples of docs/hosts.md, a tiny model, and rows to train on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from circpeft import places

# A folder for each program, with the program and what the plug-in needs of its libraries (make test-hosts).
GIVEN = os.environ.get("CIRCPEFT_HOSTS", "")


@pytest.fixture(scope="session")
def example() -> Callable[[str, str], str]:
    """Return the code block of a section of docs/hosts.md that has this language, or nothing in its place."""
    page = (places.shipped() / "docs" / "hosts.md").read_text(encoding="utf-8")
    sections = dict(zip(*[iter(re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:])] * 2, strict=True))

    def block(section: str, language: str) -> str:
        (code,) = re.findall(rf"^```{language}\n(.*?)^```$", sections[section], re.MULTILINE | re.DOTALL)
        return code

    return block


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a LLaMA of 2 layers and 32 features (MODEL), and 16 rows of text (DATA)."""
    folder = tmp_path_factory.mktemp("hosts")
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE({piece: i for i, piece in enumerate([*special.values(), *alphabet])}, []))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **special)
    tokenizer.save_pretrained(folder / "MODEL")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
    sizes |= {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "initializer_range": 0.3}
    LlamaForCausalLM(LlamaConfig(**sizes, bos_token_id=0, eos_token_id=1, pad_token_id=2)).save_pretrained(
        folder / "MODEL"
    )
    (folder / "DATA").mkdir()
    rows = [json.dumps({"text": f"row {i} of a circle"}) for i in range(16)]
    (folder / "DATA" / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def run_in_host(folder) -> Callable[..., str]:
    """Run a script in which one of the programs can be imported; return what it printed."""

    def run(host: str, script: str, *arguments: str) -> str:
        place = places.clone() / GIVEN / host
        if not GIVEN or not place.is_dir():
            pytest.skip(f"CIRCPEFT_HOSTS has no {host}; make test-hosts downloads it")
        paths = [str(places.PACKAGE.parent), str(place), os.environ.get("PYTHONPATH", "")]
        quiet = {"AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
