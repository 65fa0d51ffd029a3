"""The header of a GGUF file: the architecture, the size of the model, and whether the file is complete."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..suggest import nearest

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
STRING, ARRAY = 8, 9
# Values of a fixed size, by their number in the format, as struct spells them.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Names of architectures that GGUF files spell in another way than transformers does.
SPELT = {"qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gpt_oss": "gpt-oss", "minimax_m2": "minimax-m2"}
NOT_ARCHITECTURES = {"general", "tokenizer", "umt5"}  # transformers has them in the same table; a UMT5's file says t5


@dataclass(frozen=True)
class Header:
    """What the header of a GGUF file says.

    Attributes:
        path: the file.
        values: the metadata by key. An array of texts, such as a vocabulary, is given by its length.
        elements: number of elements of all tensors.
    """

    path: Path
    values: dict[str, Any]
    elements: int

    @property
    def architecture(self) -> str:
        """The architecture, as GGUF spells it, such as "llama"."""
        return self.values["general.architecture"]


class _Reader:
    """Reads values one after the other. Anything beyond the end of the file raises struct.error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 4

    def number(self, form: str) -> Any:
        [value] = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return value

    def text(self) -> str:
        length = self.number("Q")
        if self.place + length > len(self.data):
            raise struct.error("a text ends after the file")
        self.place += length
        return self.data[self.place - length : self.place].decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise ValueError(f"a value of the unknown type {kind}")
        of, length = self.number("I"), self.number("Q")
        if of == STRING:
            for _ in range(length):
                bytes_of_text = self.number("Q")
                self.place += bytes_of_text
            return length
        if of not in NUMBERS:
            raise ValueError(f"an array of the unknown type {of}")
        values = struct.unpack_from(f"<{length}{NUMBERS[of]}", self.data, self.place)
        self.place += struct.calcsize(f"<{length}{NUMBERS[of]}")
        return list(values)


def read_header(path: Path) -> Header:
    """Read and check the header of a GGUF file; no weight is read.

    Raises: ValueError for a file in another format or version, a cut file, a part of a model, an architecture that
    transformers does not read (with those that it reads), and weights of an unknown type; also if the package gguf is
    missing.
    """
    if path.stat().st_size < 24 or not is_gguf(path):
        raise ValueError(f"{str(path)!r} is not a GGUF file: it does not begin with {MAGIC.decode()!r} and a header")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Reader(data)
        try:
            version, tensors, count = (reader.number(form) for form in "IQQ")
            if version not in VERSIONS:
                raise ValueError(f"version {version} of the format; this reads versions 2 and 3")
            values = dict(_pair(reader) for _ in range(count))
            table = [_tensor(reader) for _ in range(tensors)]
        except (struct.error, OverflowError) as error:
            raise ValueError(f"GGUF file {str(path)!r} is cut: it ends within its header; copy it again") from error
        except ValueError as error:
            raise ValueError(f"GGUF file {str(path)!r} cannot be read: it has {error}") from error
    for key in ("general.alignment", "split.count", "split.no"):
        if not isinstance(value := values.get(key, 1), int) or value < (key != "split.no"):
            raise ValueError(f"GGUF file {str(path)!r} cannot be read: {key} is {value!r:.80}, expected a number")
    _check_model(path, values)
    _check_length(path, values, table, reader.place)
    return Header(path, values, sum(elements for elements, *_ in table))


def is_gguf(path: Path) -> bool:
    """Return whether a file begins as a GGUF file does."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def _pair(reader: _Reader) -> tuple[str, Any]:
    key = reader.text()
    return key, reader.value(reader.number("I"))


def _tensor(reader: _Reader) -> tuple[int, int, int]:
    """Return the number of elements of a tensor, its type, and its place in the data."""
    reader.text()
    elements = 1
    for _ in range(reader.number("I")):
        elements *= reader.number("Q")
    return elements, reader.number("I"), reader.number("Q")


def _check_model(path: Path, values: dict[str, Any]) -> None:
    architecture, known = values.get("general.architecture"), readable_architectures()
    if architecture not in known:
        raise ValueError(
            f"GGUF file {str(path)!r} has the architecture {architecture!r}, which transformers does not read from "
            f"GGUF; {nearest(architecture, known)}"
        )
    if (parts := values.get("split.count", 1)) > 1:
        raise ValueError(
            f"GGUF file {str(path)!r} is part {values.get('split.no', 0) + 1} of {parts}, and transformers reads only "
            f"whole files; join them with llama.cpp's `llama-gguf-split --merge`"
        )


def readable_architectures() -> list[str]:
    """Return the architectures that the installed transformers reads from GGUF files, as GGUF spells them."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES as known

    names = {SPELT.get(name, name) for name in known if name not in NOT_ARCHITECTURES}
    try:
        from transformers.integrations.gguf import GGUF_CONFIG_ARCHS as newer
    except ImportError:  # earlier versions of transformers have only the first list
        newer = {}
    return sorted(names | set(newer))


def _check_length(path: Path, values: dict[str, Any], table: list[tuple[int, int, int]], place: int) -> None:
    size_of = _block_sizes()
    alignment = values.get("general.alignment", DEFAULT_ALIGNMENT)
    start, ends = -(-place // alignment) * alignment, [0]
    for elements, kind, offset in table:
        if kind not in size_of:
            raise ValueError(
                f"GGUF file {str(path)!r} has weights of type {kind}, which the installed package gguf does not know; "
                f"pip install --upgrade gguf"
            )
        block, size = size_of[kind]
        ends.append(offset + elements // block * size)
    whole, size = start + max(ends), path.stat().st_size
    if size < whole:
        raise ValueError(
            f"GGUF file {str(path)!r} is cut: it has {size:,} bytes, and its header announces {whole:,}; copy it again"
        )


def _block_sizes() -> dict[int, tuple[int, int]]:
    """Return the elements and the bytes of a block, by type of weights."""
    sizes = gguf_package().GGML_QUANT_SIZES
    return {int(kind): size for kind, size in sizes.items()}


def gguf_package() -> Any:
    """Import the package gguf.

    Raises: ValueError with the command that installs it.
    """
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise ValueError(
            "a model in a GGUF file needs the package gguf, which is not installed; pip install 'circpeft[gguf]'"
        ) from error
    return gguf
