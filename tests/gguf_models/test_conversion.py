"""A converted GGUF file computes what its model computes, and is written once, whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from circpeft import models
from circpeft.files import disk
from circpeft.gguf_models import conversion

IDS = torch.tensor([[1, 60, 70, 2, 100, 33]])


def names_in(cache: Path) -> list[str]:
    """Return what a cache holds, except for the lock file."""
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock") if cache.exists() else []


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("tied", [True, False])
def test_the_converted_model_has_the_logits_of_the_plain_one(write_gguf, bits, tied):
    written = write_gguf(bits=bits, tied=tied)
    folder = models.resolve(str(written.path))
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        assert (loaded(IDS).logits - written.model(IDS).logits).abs().max() < 1e-5
    assert type(loaded) is LlamaForCausalLM and not hasattr(loaded.config, "quantization_config")
    assert loaded.config.tie_word_embeddings is tied
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) is tied
    assert loaded.generation_config.eos_token_id == 2


def test_bfloat16_is_stored_in_two_bytes_and_has_the_values_of_float32_rounded_once(write_gguf, cache):
    path = str(write_gguf().path)
    whole, short = (Path(models.resolve(path, dtype)) for dtype in ("float32", "bfloat16"))
    size = {folder: (folder / "model.safetensors").stat().st_size for folder in (whole, short)}
    assert size[short] < 0.6 * size[whole]
    rounded, stored = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).state_dict() for folder in (whole, short)
    )
    assert all(torch.equal(rounded[name], stored[name]) for name in rounded)
    assert len(names_in(cache)) == 2
    assert Path(models.resolve(path, "float16")) == whole  # float16 would not hold what bfloat16 has lost


def test_the_tokenizer_splits_off_every_digit_and_keeps_the_chat_template(write_gguf):
    written = write_gguf()
    tokenizer = AutoTokenizer.from_pretrained(models.resolve(str(written.path)))
    assert tokenizer.tokenize("ab  12\n\n3") == ["ab", "ĠĠ", "1", "2", "ĊĊ", "3"]
    assert tokenizer.tokenize("<|im_end|>") == ["<|im_end|>"] and tokenizer.eos_token_id == 2
    assert tokenizer.decode(tokenizer("ab  12")["input_ids"]) == "ab  12"
    assert tokenizer.chat_template and tokenizer.model_max_length == 512
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False)
    assert chat == "<|im_start|>user\nab<|im_end|>\n"


@pytest.mark.parametrize("rule", ["gpt-2", "qwen2", "poro-chat"])
def test_a_rule_of_the_tokenizer_that_transformers_does_not_know_is_named_in_a_warning(write_gguf, rule, recwarn):
    models.resolve(str(write_gguf(rule=rule).path))
    told = [str(warning.message) for warning in recwarn if "splits texts by the rule" in str(warning.message)]
    assert len(told) == (rule == "poro-chat") and all(
        "'poro-chat', which transformers does not know" in t for t in told
    )


def test_a_file_is_converted_once_also_from_a_folder_or_under_another_path(write_gguf, cache, monkeypatch, tmp_path):
    path = write_gguf().path
    folder = models.resolve(str(path))
    monkeypatch.setattr(conversion, "save", lambda *arguments: pytest.fail("converted again"))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    assert models.resolve(str(path)) == models.resolve(str(path.parent)) == folder
    assert models.resolve(str(tmp_path / "copy")) == models.resolve(str(path), "float32") == folder
    [name] = names_in(cache)
    record = json.loads((cache / name / "conversion.json").read_text())
    assert record == {
        "file": "tiny.gguf",
        "sha256": conversion.checksum(path),
        "architecture": "llama",
        "dtype": "float32",
    }


def test_a_changed_file_is_another_model(write_gguf, cache):
    first, second = write_gguf(), write_gguf(seed=1)
    before = models.resolve(str(first.path))
    first.path.write_bytes(second.path.read_bytes())
    assert models.resolve(str(first.path)) != before and len(names_in(cache)) == 2


KILLED = """
import os, signal, sys
from circpeft import models
from circpeft.gguf_models import conversion

def save(header, form, folder):
    real(header, form, folder)
    assert (folder / "model.safetensors").exists()
    os.kill(os.getpid(), signal.SIGKILL)

real, conversion.save = conversion.save, save
models.resolve(sys.argv[1])
"""


def test_a_killed_conversion_leaves_nothing_under_the_models_name(write_gguf, cache):
    path = write_gguf().path
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    [left] = names_in(cache)
    assert left.endswith(".part")
    folder = Path(models.resolve(str(path)))
    assert names_in(cache) == [folder.name] and AutoModelForCausalLM.from_pretrained(folder)


COUNTED = """
import sys, time
from circpeft import models
from circpeft.gguf_models import conversion

def save(header, form, folder):
    print("converting")
    time.sleep(1)  # the other process arrives
    real(header, form, folder)

real, conversion.save = conversion.save, save
print(models.resolve(sys.argv[1]))
"""


@pytest.mark.full
def test_of_two_processes_one_converts_and_the_other_waits(write_gguf):
    command = [sys.executable, "-c", COUNTED, str(write_gguf().path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    lines = [out.split() for out, _ in outputs]
    assert sum("converting" in line for line in lines) == 1
    assert lines[0][-1] == lines[1][-1] and Path(lines[0][-1], "config.json").exists()


LIMITED = """
import resource, sys
from circpeft import models

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    models.resolve(sys.argv[1])
except OSError as error:
    print(error)
"""


def test_a_disk_that_fills_up_leaves_nothing_and_says_how_much_is_needed(write_gguf, cache, run_python):
    [line] = run_python(LIMITED, write_gguf().path).splitlines()
    assert line.startswith(f"no room for '{cache}") and "the system allows no file of this size here" in line
    assert names_in(cache) == []


def test_a_disk_without_room_is_refused_before_the_conversion(write_gguf, cache, monkeypatch):
    usage = disk.shutil.disk_usage(".")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage._replace(free=3 * 2**20))
    monkeypatch.setattr(conversion, "save", lambda *arguments: pytest.fail("converted"))
    with pytest.raises(OSError, match=r"32 MiB are needed, and 3 MiB are free; free some, or set HF_HOME"):
        models.resolve(str(write_gguf().path))
    assert names_in(cache) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_to_is_named(write_gguf, cache):
    cache.parents[1].mkdir()
    cache.parents[1].chmod(0o500)
    with pytest.raises(OSError, match="cannot write '.*': Permission denied; set HF_HOME to a folder on another disk"):
        models.resolve(str(write_gguf().path))


def test_numbers_that_transformers_does_not_read_are_counted_in_a_warning(write_gguf, monkeypatch):
    path = write_gguf().path
    real = conversion.read_header
    monkeypatch.setattr(
        conversion, "read_header", lambda path: conversion.Header(path, real(path).values, real(path).elements + 4)
    )
    with pytest.warns(UserWarning, match="numbers, and transformers reads .* may compute something else"):
        models.resolve(str(path))
