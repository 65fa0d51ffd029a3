"""Export a merged language model for llama.cpp: the folder that its converter takes, and the GGUF file itself."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..gguf_models.header import gguf_package, read_header
from ..gguf_models.reading import plain_model
from .adapter_folder import AdapterFolder
from .merged_model import merged, model_bytes, save
from .new_folder import check_new, new_folder

FILE = "model.gguf"
# llama.cpp's converter: as its repository has it, and as a package installs it.
CONVERTERS = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")
FORMATS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}  # the converter's names
VOCABULARIES = ("tokenizer.json", "tokenizer.model")
LARGEST_ERROR = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-3}  # relative, of a rounded weight


@dataclass(frozen=True)
class GgufExport:
    """A written folder for llama.cpp.

    Attributes:
        folder: the folder of the plain model.
        file: the GGUF file in it; None if there was no converter.
        command: the command that converts the folder.
        error: the largest relative error of a weight in the file; None without a file.
    """

    folder: Path
    file: Path | None
    command: str
    error: float | None


def export_gguf(
    adapter: str | Path, out: str | Path, base: str = "", dtype: str = "", converter: str = ""
) -> GgufExport:
    """Merge an adapter into its language model, and convert the plain folder by llama.cpp's converter if it is there.

    The file is read back, and its weights are compared with those of the merged model.

    Args:
        adapter: folder of a saved adapter.
        out: folder of the plain model and its GGUF file; it must not exist, or be empty.
        base: hub id or folder of the base model; "" takes the one that the adapter names.
        dtype: "float32", "bfloat16" or "float16"; "" keeps that of the base model's files.
        converter: path of llama.cpp's ``convert_hf_to_gguf.py``, or a command; "" looks for one on PATH.

    Raises: ValueError for an adapter of another task than language modelling, a model without a tokenizer, a converter
    that fails, and weights that differ; FileNotFoundError for a converter that is not there; what `check_new`,
    `AdapterFolder.open` and `AdapterFolder.load` raise. Nothing is written then.
    """
    target, program = check_new(out), find_converter(converter)
    opened = AdapterFolder.open(adapter, base)
    if opened.model_class.__name__ != "AutoModelForCausalLM":
        raise ValueError(
            f"llama.cpp runs language models, and {str(adapter)!r} is an adapter for {opened.model_class.__name__}; "
            f"export it as ONNX, or merge it"
        )
    if program:
        gguf_package()
    plain, _ = merged(opened, dtype)
    stored = str(plain.dtype).removeprefix("torch.")
    form = FORMATS.get(stored, "auto")
    command = _command(program or ["python", CONVERTERS[0]], target, form)
    with new_folder(target, model_bytes(plain) * (2 if program else 1)) as folder:
        save(plain, opened, folder)
        if not any((folder / name).is_file() for name in VOCABULARIES):
            raise ValueError(
                f"base model {opened.base!r} has no tokenizer that llama.cpp's converter reads; expected "
                f"{' or '.join(VOCABULARIES)} beside the adapter or the base model"
            )
        error = None
        if program:
            _convert(_command(program, folder, form), program[-1])
            error = largest_error(plain, folder / FILE)
            if not error <= LARGEST_ERROR.get(stored, 1e-2):
                raise ValueError(f"the GGUF file's weights differ from the merged model's (relative error {error:.2g})")
    return GgufExport(target, target / FILE if program else None, shlex.join(command), error)


def find_converter(converter: str = "") -> list[str]:
    """Return the command of llama.cpp's converter; an empty list if no converter is named or on PATH.

    Raises: FileNotFoundError for a named one that is not there.

    >>> find_converter("/nowhere/convert_hf_to_gguf.py")
    Traceback (most recent call last):
    FileNotFoundError: no converter '/nowhere/convert_hf_to_gguf.py'; give the path of llama.cpp's convert_hf_to_gguf.py
    """
    found = next(filter(None, map(shutil.which, [converter] if converter else CONVERTERS)), None)
    if converter and found is None:
        if not Path(converter).is_file():
            raise FileNotFoundError(f"no converter {converter!r}; give the path of llama.cpp's {CONVERTERS[0]}")
        found = converter
    if found is None:
        return []
    return [sys.executable, found] if found.endswith(".py") else [found]


def _command(program: list[str], folder: Path, form: str) -> list[str]:
    """Return the command that converts the plain model in a folder into a file beside it."""
    return [*program, str(folder), "--outfile", str(folder / FILE), "--outtype", form]


def _convert(command: list[str], converter: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise ValueError(f"llama.cpp's converter {converter!r} failed: {reason}")


@torch.no_grad()
def largest_error(plain: nn.Module, path: Path) -> float:
    """Return the largest relative error of a weight that a GGUF file has, in the Frobenius norm.

    Raises: ValueError for a file that lacks a weight, or cannot be read.
    """
    read = dict(plain_model(read_header(path), torch.float32).named_parameters())
    expected = dict(plain.named_parameters())
    if missing := sorted(expected.keys() - read.keys()):
        raise ValueError(f"the GGUF file lacks {len(missing)} of the model's weights, such as {missing[0]!r}")
    errors = [
        (read[name] - value.float()).norm() / value.float().norm().clamp_min(1e-30) for name, value in expected.items()
    ]
    return float(torch.stack(errors).max())
