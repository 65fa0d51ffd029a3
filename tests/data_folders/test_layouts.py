"""Layouts are tried in order, each with the same interface; a new one is a class and a line in the list."""

import pytest
from datasets import Dataset, DatasetDict

from circpeft import data_folders, tasks
from circpeft.data_folders import Inventory, TaskOptions, layouts


class ColonFiles:
    """A toy layout: train.colon and so on, with "text: label" on each line."""

    kinds = ("text",)
    expected = "train.colon, test.colon and so on"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        return any(path.suffix == ".colon" for path in inventory.files)

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        data = DatasetDict()
        for path in inventory.files:
            pairs = [line.split(": ") for line in path.read_text().splitlines()]
            rows = [{options.text_columns[0]: text, "label": int(label)} for text, label in pairs]
            data[path.stem] = Dataset.from_list(rows)
        return data

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        names = [path.name for path in inventory.files if path.suffix == ".semicolon"]
        return f"Convert {names[0]} to .colon." if names else ""


@pytest.fixture
def colon_files(monkeypatch):
    monkeypatch.setattr("circpeft.data_folders.reading.LAYOUTS", [*layouts.LAYOUTS, ColonFiles()])


@pytest.mark.parametrize("place", ["data", "data/inner"])
def test_a_new_layout_is_used(tmp_path, colon_files, place):
    (tmp_path / place).mkdir(parents=True)
    for split in ("train", "validation", "test"):
        (tmp_path / place / f"{split}.colon").write_text("good film: 1\nbad film: 0\n")
    data, how = tasks.load("sst2", tmp_path / "data")
    assert how == "test: as published"
    assert data["test"].to_list() == [{"sentence": "good film", "label": 1}, {"sentence": "bad film", "label": 0}]


def test_a_layout_is_for_kinds_of_tasks(tmp_path, colon_files):
    (tmp_path / "train.colon").write_text("good film: 1\n")
    with pytest.raises(FileNotFoundError, match=r"no data found in data_dir .*, which holds train\.colon\. Expected"):
        tasks.load("alpaca", tmp_path)


def test_the_error_for_a_folder_without_data_names_every_layout(tmp_path, colon_files):
    (tmp_path / "train.semicolon").write_text("a")
    said = r"Expected one of: .*; train\.colon, test\.colon and so on\. Convert train\.semicolon to \.colon\.$"
    with pytest.raises(FileNotFoundError, match=said):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: type(layout).__name__)
def test_every_layout_has_the_interface(tmp_path, layout):
    empty = data_folders.scan(tmp_path)
    assert layout.expected and set(layout.kinds) <= {"text", "images", "instructions"}
    assert layout.matches(empty, TaskOptions()) is False and layout.hint(empty, TaskOptions()) == ""


def test_two_subfolders_with_data_are_not_chosen_between(tmp_path, image_folder):
    """Even where one holds tables and the other class folders."""
    both = {"cat": 2, "dog": 2}
    (tmp_path / "home" / "tables").mkdir(parents=True)
    image_folder(train=both, test=both).rename(tmp_path / "home" / "pictures")
    (tmp_path / "home" / "tables" / "train.csv").write_text("image,label\na.png,0\n")
    with pytest.raises(ValueError, match="holds several data sets: pictures, tables; give the folder of one"):
        tasks.load("images", tmp_path / "home")
