"""Tasks whose data the project makes itself: written into its data folder, or drawn when they are asked for."""

from pathlib import Path

from datasets import DatasetDict

from ..data_folders import read_folder
from . import digits
from .text import Task

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


def load(name: str) -> DatasetDict:
    """The data of an embedded task.

    Raises: FileNotFoundError, see `folder`; ValueError for a task that has no data of its own.
    """
    if name == "digits":
        return digits.load()
    if name == "images":
        raise ValueError("task 'images' takes its images from a folder: give data_dir; the embedded one is 'digits'")
    return read_folder(folder(name))
