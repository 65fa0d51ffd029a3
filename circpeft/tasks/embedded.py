"""Tasks with data that comes with the project: files in its data folder, or images that are drawn on request."""

from pathlib import Path

from datasets import DatasetDict

from .. import places
from ..data_folders import read_folder
from . import digits
from .text import Task

DATA = places.shipped() / "data"
DATA_FOLDERS = ("entailment", "word_problems")  # the tasks with files in it

TASKS = {
    "entailment": Task(
        "entailment", ("sentence1", "sentence2"), ("entailment", "not_entailment"), "accuracy", group="phenomenon"
    )
}


def folder(name: str) -> Path:
    """Return the folder of an embedded task's data.

    Raises: FileNotFoundError if the data is not there.
    """
    path = DATA / name
    if not path.is_dir():
        raise FileNotFoundError(
            f"the embedded data of {name!r} is not at {path}: it is part of circpeft; install circpeft again, or give "
            f"data_dir"
        )
    return path


def load(name: str) -> DatasetDict:
    """Return the data of an embedded task.

    Raises: FileNotFoundError, see `folder`; ValueError for a task without embedded data.
    """
    if name == "digits":
        return digits.load()
    if name == "images":
        raise ValueError("task 'images' reads its images from a folder: give data_dir; the embedded task is 'digits'")
    if name not in DATA_FOLDERS:
        raise ValueError(f"task {name!r} has no data of its own; give data_dir")
    return read_folder(folder(name))
