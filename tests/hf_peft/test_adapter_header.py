"""What the header of an adapter file claims costs neither time nor memory."""

import json
import struct

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from circpeft.hf_peft.adapter_file import check_all_finite, read_header

TARGETS = ["query", "value"]


@pytest.fixture
def saved(tiny, method, tmp_path):
    get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS")).save_pretrained(tmp_path)
    return tmp_path


def write(file, header, size=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(file, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + size)  # without the blocks of zeros on disk


def entry(*shape, dtype="F32", size=None):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]}


CLAIMS = {
    "a terabyte that is not there": ({"a": entry(2**38, size=2**40)}, 0, "truncated"),
    "a terabyte of zeros": ({"a": entry(2**38, size=2**40)}, 2**40, "1.0 TiB of tensors exceed the limit of 16.0 GiB"),
    "a long header": (b" " * 2**25, 0, "32.0 MiB of a header exceed the limit of 16.0 MiB"),
    "a header that is not there": (b"", -4, "truncated"),
    "a long name": ({"a" * 2000: entry(1, size=4)}, 4, "names a tensor with 2000 characters"),
    "many dimensions": ({"a": entry(*[1] * 1000, size=4)}, 4, "has 1000 dimensions"),
    "an overflow": ({"a": entry(2**40, 2**40, size=4)}, 4, "truncated"),
    "a negative size": ({"a": entry(-1, size=4)}, 4, "truncated"),
    "an unknown type": ({"a": entry(1, dtype="F33", size=4)}, 4, "truncated"),
    "not text": (b"\xff" * 64, 0, "truncated"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(saved, tiny, peak, name):
    header, size, message = CLAIMS[name]
    file = saved / "adapter_model.safetensors"
    write(file, header, size)
    bare = tiny.bert()
    with peak(mebibytes=100), pytest.raises(ValueError, match=message) as raised:
        PeftModel.from_pretrained(bare, saved)
    assert str(file) in str(raised.value) and len(str(raised.value)) < 2000


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("a" * 1000, [1], None),
        ("a" * 1001, [1], rf"names a tensor with 1001 characters, '{'a' * 80}'\.\.\.; the adapter is broken"),
        ("a", [1] * 8, None),
        ("a", [1] * 9, r"'a' has 9 dimensions, \[1, 1, 1, 1, 1, 1, 1, 1\]\.\.\.; the adapter is broken"),
    ],
    ids=["1000 characters", "1001 characters", "8 dimensions", "9 dimensions"],
)
def test_the_longest_name_and_the_most_dimensions(tmp_path, key, shape, message):
    file = tmp_path / "adapter_model.safetensors"
    write(file, {key: entry(*shape, size=4)}, 4)
    if message is None:
        assert read_header(str(file))[key].shape == torch.Size(shape)
    else:
        with pytest.raises(ValueError, match=message):
            read_header(str(file))


@pytest.mark.parametrize("read", [read_header, check_all_finite])
@pytest.mark.parametrize("error", [SafetensorError, OSError, RuntimeError])
def test_an_error_while_a_file_is_read_names_the_file(tmp_path, monkeypatch, read, error):
    """Such as a file that is removed between two checks."""
    file = tmp_path / "adapter_model.safetensors"
    write(file, {"a": entry(1, size=4)}, 4)

    def fails(*args, **kwargs):
        raise error("gone")

    monkeypatch.setattr("circpeft.hf_peft.adapter_file.safe_open", fails)
    with pytest.raises(ValueError, match=f"{file} cannot be read; .*: gone"):
        read(str(file))


def test_further_tensors_are_refused_before_they_are_read(saved, tiny, peak):
    file = saved / "adapter_model.safetensors"
    further = {f"base_model.model.further_{k}.weight": torch.zeros(2**20) for k in range(50)}
    save_file({**load_file(file), **further}, file, metadata={"format": "pt"})
    del further
    bare = tiny.bert()
    with peak(mebibytes=60), pytest.raises(ValueError, match="further_"):
        PeftModel.from_pretrained(bare, saved)


def test_a_limit_can_be_raised(saved, tiny, monkeypatch):
    monkeypatch.setenv("CIRCPEFT_MAX_ADAPTER", "1KB")
    with pytest.raises(
        ValueError, match="exceed the limit of 1.0 KiB; if you trust the file, set CIRCPEFT_MAX_ADAPTER="
    ):
        PeftModel.from_pretrained(tiny.bert(), saved)
    monkeypatch.setenv("CIRCPEFT_MAX_ADAPTER", "1 GiB")
    PeftModel.from_pretrained(tiny.bert(), saved)


def test_only_a_file_is_read(tmp_path):
    import os

    os.mkfifo(tmp_path / "adapter_model.safetensors")  # reading it would wait for ever
    with pytest.raises(ValueError, match="is not a file"):
        read_header(str(tmp_path / "adapter_model.safetensors"))
