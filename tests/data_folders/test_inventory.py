"""What a data folder holds is listed once per load, and says which files belong to which split."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from circpeft import tasks
from circpeft.data_folders import TaskOptions, inventory, scan
from circpeft.data_folders.file_formats import is_image
from circpeft.data_folders.layouts.class_folders import ClassFolders

PAIRS = [{"sentence": f"text {i}", "label": i % 2} for i in range(12)]
SUMS = [{"problem": f"{i}?", "solution": rf"\boxed{{{i}}}"} for i in range(12)]


@pytest.fixture
def listings(monkeypatch) -> Counter:
    """Count how often each folder is listed."""
    counts: Counter = Counter()

    def counted(function):
        def call(path=".", *arguments):
            counts[os.fspath(path)] += 1
            return function(path, *arguments)

        return call

    monkeypatch.setattr(os, "scandir", counted(os.scandir))
    monkeypatch.setattr(os, "listdir", counted(os.listdir))
    return counts


def tables(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    (folder / "old").mkdir()
    (folder / "old" / "train.jsonl").write_text(json.dumps(PAIRS[0]))


def shards(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        Dataset.from_list(PAIRS).to_parquet(folder / split / "0000.parquet")


def saved(folder: Path) -> None:
    part = Dataset.from_list(PAIRS)
    DatasetDict(train=part, test=part).save_to_disk(folder)


def saved_splits(folder: Path) -> None:
    for split in ("train", "test"):
        Dataset.from_list(PAIRS).save_to_disk(folder / split)


def row_files(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / "algebra").mkdir(parents=True)
        for number, row in enumerate(SUMS):
            (folder / split / "algebra" / f"{number}.json").write_text(json.dumps(row))


def class_folders(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (2, 2)).save(folder / name / f"{number}.png")


def split_class_folders(folder: Path) -> None:
    for split in ("train", "test"):
        class_folders(folder / split)


def metadata(folder: Path) -> None:
    for split in ("train", "test"):
        class_folders(folder / split)
        rows = "\n".join(f"{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(12))
        (folder / split / "metadata.csv").write_text(f"file_name,label\n{rows}\n")


LAYOUTS = {
    "sst2": [tables, shards, saved, saved_splits],
    "math": [row_files],
    "images": [class_folders, split_class_folders, metadata],
}


@pytest.mark.parametrize(("task", "write"), [(task, write) for task, writers in LAYOUTS.items() for write in writers])
@pytest.mark.parametrize("place", ["data", "data/inner"])
def test_a_folder_is_listed_once_per_load(tmp_path, listings, task, write, place):
    if write is saved_splits and place != "data":
        (tmp_path / "data").mkdir()
    write(tmp_path / place)
    listings.clear()
    tasks.load(task, tmp_path / "data")
    within = {path: count for path, count in listings.items() if path.startswith(str(tmp_path / "data"))}
    assert str(tmp_path / "data") in within and str(tmp_path / place) in within
    assert set(within.values()) == {1}, within


def test_the_splits_of_an_inventory(tmp_path):
    tables(tmp_path / "data")
    (tmp_path / "data" / "dev").mkdir()
    Dataset.from_list(PAIRS).to_parquet(tmp_path / "data" / "dev" / "0000.parquet")
    for name in ("extra.csv", "notes.txt", "test.txt", ".hidden.csv"):
        (tmp_path / "data" / name).write_text("a")
    inventory = scan(tmp_path / "data")
    names = {
        split: [path.relative_to(inventory.path).as_posix() for path in paths]
        for split, paths in inventory.split_files.items()
    }
    assert names == {"train": ["train.jsonl"], "validation": ["dev/0000.parquet"], "test": ["test.jsonl"]}
    assert inventory.unused == ["extra.csv", "old", "test.txt"] and not inventory.saved_splits
    assert [folder.name for folder in inventory.folders] == ["dev", "old"]
    assert all(folder.parent is inventory for folder in inventory.folders)


def test_links_to_folders_are_not_followed_below_a_class(tmp_path):
    class_folders(tmp_path / "train")
    (tmp_path / "train" / "cat" / "loop").symlink_to(tmp_path / "train")
    [cat, _] = scan(tmp_path / "train").folders
    assert len([*cat.files_below()]) == 12


def test_the_work_for_a_folder_of_classes_grows_with_the_number_of_its_files(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(200):
            (tmp_path / name / f"{number}.png").touch()
    looked_at = []
    monkeypatch.setattr(inventory, "is_image", lambda path: looked_at.append(path) or is_image(path))
    assert ClassFolders().matches(scan(tmp_path), TaskOptions(kind="images"))
    assert len(looked_at) <= 4 * 400


@pytest.mark.parametrize("written", ["$SETZ", "${SETZ}"])
def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch, written):
    monkeypatch.delenv("SETZ", raising=False)
    with pytest.raises(FileNotFoundError, match=r"is not a folder; the variable \$\{?SETZ\}? is not set"):
        tasks.load("sst2", tmp_path / written / "sst2")
