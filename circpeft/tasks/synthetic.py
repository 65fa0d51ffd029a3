"""Tasks whose data the project generates and ships in its data folder."""

from pathlib import Path

from .base import Task

DATA = Path(__file__).resolve().parents[2] / "data"

TASKS = {
    "entailment": Task(
        "entailment", ("sentence1", "sentence2"), ("entailment", "not_entailment"), "accuracy", group="phenomenon"
    )
}


def folder(name: str) -> Path:
    """Folder of an embedded task's data.

    Raises: FileNotFoundError where circpeft was installed without its data folder (from a wheel).
    """
    path = DATA / name
    if not path.is_dir():
        raise FileNotFoundError(
            f"the embedded data of {name!r} is not at {path}: it comes with a clone of the repository; "
            f"clone it and install with pip install -e, or give data_dir"
        )
    return path
