"""The conversion of a GGUF file into a model folder, once, in the cache of Hugging Face."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ..files import atomic_folder, check_room, explained, make_folder, remove_leftovers
from .header import Header, gguf_package, read_header

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORM = 1  # of the converted folder; another number makes all files be converted again
BYTES = {"float32": 4, "bfloat16": 2}  # of an element, by number format
BESIDE_WEIGHTS = 32 * 2**20  # bytes that tokenizer and config take at most
RECORD = "conversion.json"
ELSEWHERE = "set HF_HOME to a folder on another disk"


def cache_folder() -> Path:
    """Return the folder of converted models, in the cache of Hugging Face (``HF_HOME``, ``HF_ASSETS_CACHE``)."""
    from huggingface_hub.constants import HF_ASSETS_CACHE

    return Path(HF_ASSETS_CACHE) / "circpeft" / "gguf"


@lru_cache
def _checksum(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path) -> str:
    """Return the sha256 of a file. A file that has not changed since is read only once."""
    status = path.stat()
    return _checksum(path.resolve(), status.st_size, status.st_mtime_ns)


def cached(name: str, sha256: str, dtype: str | None = None) -> Path | None:
    """Return the converted folder of a file, or None if it is not in the cache.

    Args:
        name: name of the file.
        sha256: its checksum.
        dtype: number format of the converted weights, see `converted`.
    """
    folders = [_folder(name, sha256, form) for form in ([_stored(dtype)] if dtype else BYTES)]
    return next((folder for folder in folders if folder.is_dir()), None)


def converted(path: Path, dtype: str | None = None) -> Path:
    """Return the folder of a GGUF file's model, with config, tokenizer and safetensors; convert it if it is not there.

    The folder appears under its name only when it is complete. Of several processes, one converts and the others wait.

    Args:
        path: the file.
        dtype: number format in which the model will be loaded. A model in bfloat16 is stored in it; for any other,
            the weights are stored in float32. None takes a folder that exists, or else float32.

    Raises: ValueError for a file that cannot be read (see `read_header`), a file that lacks weights, and a tokenizer
    with more tokens than the model has embeddings; WriteError (see `circpeft.files`), with the space needed, for a full
    disk, and for a cache that cannot be written to.
    """
    header = read_header(path)
    sha256 = checksum(path)
    if (folder := cached(path.name, sha256, dtype)) is not None:
        return folder
    gguf_package()
    form = _stored(dtype)
    folder = _folder(path.name, sha256, form)
    needed = header.elements * BYTES[form] + BESIDE_WEIGHTS
    with explained(folder, needed, ELSEWHERE):
        make_folder(folder.parent)
        with FileLock(folder.parent / ".lock"):
            remove_leftovers(folder.parent)
            if not folder.is_dir():
                check_room(folder, needed, ELSEWHERE)
                _write(header, sha256, form, folder, needed)
    return folder


def _stored(dtype: str | None) -> str:
    return "bfloat16" if dtype == "bfloat16" else "float32"


def _folder(name: str, sha256: str, form: str) -> Path:
    return cache_folder() / f"{Path(name).stem}-{sha256[:16]}-{FORM}-{form}"


def _write(header: Header, sha256: str, form: str, folder: Path, needed: int) -> None:
    record = {"file": header.path.name, "sha256": sha256, "architecture": header.architecture, "dtype": form}
    with atomic_folder(folder, needed=needed, elsewhere=ELSEWHERE) as draft:
        with _one_line(header):
            save(header, form, draft)
        (draft / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def save(header: Header, form: str, folder: Path) -> None:
    """Write the model and the tokenizer of a GGUF file into a folder.

    transformers does not save a model that it read from GGUF, so the weights are given to a plain model first.
    """
    import torch

    from .reading import plain_model, tokenizer_of

    tokenizer = tokenizer_of(header)
    model: PreTrainedModel = plain_model(header, getattr(torch, form))
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(f"its tokenizer has {len(tokenizer)} tokens, and the model has only {rows} embeddings")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _one_line(header: Header) -> Iterator[None]:
    """Replace what transformers raises for a file that it cannot read by one line. Errors of the disk pass through."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, SafetensorError) or error.errno is not None:
            raise
        raise ValueError(_unreadable(header, error)) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, ImportError) as error:
        raise ValueError(_unreadable(header, error)) from error


def _unreadable(header: Header, error: Exception) -> str:
    cause = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    cause = f"it lacks {cause}" if isinstance(error, KeyError) else cause
    return f"GGUF file {str(header.path)!r} ({header.architecture}) cannot be converted: {cause}"
