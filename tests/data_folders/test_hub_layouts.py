"""The hub's layouts: splits cut into shards, and several data sets in one folder."""

import shutil

import pandas as pd
import pytest
from datasets import DatasetDict

from circpeft import data_folders, tasks


def rows(count: int, start: int = 0) -> list[dict]:
    return [{"sentence": f"text {i}", "label": i % 2} for i in range(start, start + count)]


PARTS = {"train": rows(6), "validation": rows(4, start=20), "test": rows(3, start=40)}


def is_whole(data: DatasetDict, how: str) -> bool:
    """Return whether all splits have their rows, and nothing is reported as unused."""
    return how == "test: as published" and {split: part.to_list() for split, part in data.items()} == PARTS


def shards(folder, parts: dict, count: int, form: str = "parquet", mark: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in parts.items():
        for i in range(count):
            table = pd.DataFrame(part[len(part) * i // count : len(part) * (i + 1) // count])
            path = folder / f"{split}-{i:05}-of-{count:05}{mark}.{form}"
            table.to_parquet(path) if form == "parquet" else table.to_json(path, orient="records", lines=True)


@pytest.mark.parametrize("inside", ["", "data", "sst2", "default"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_hubs_layout(tmp_path, inside, count):
    shards(tmp_path / "hub" / inside, PARTS, count)
    (tmp_path / "hub" / "README.md").write_text("a")
    assert is_whole(*tasks.load("sst2", tmp_path / "hub"))


def test_the_hubs_earlier_names_and_other_formats(tmp_path):
    shards(tmp_path / "former", PARTS, 1, mark="-0123456789abcdef")
    assert is_whole(*tasks.load("sst2", tmp_path / "former"))
    shards(tmp_path / "lines", PARTS, 2, form="jsonl")
    assert is_whole(*tasks.load("sst2", tmp_path / "lines"))


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path):
    shards(tmp_path / "hub", {"train": rows(24)}, 12)
    assert data_folders.read_folder(tmp_path / "hub")["train"].to_list() == rows(24)


@pytest.mark.parametrize("inside", ["", "data", "sst2"])
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", ["train", "Train"])
def test_shards_in_a_folder_of_the_split(tmp_path, inside, form, name):
    home = tmp_path / "hub" / inside
    for split, part in PARTS.items():
        shards(home / (name if split == "train" else split), {split: part}, 3, form)
    assert is_whole(*tasks.load("sst2", tmp_path / "hub"))
    (home / name / f"train-00001-of-00003.{form}").rename(home / f"train-00001-of-00003.{form}")
    with pytest.raises(ValueError, match=rf"several files for train: .*{name}/train-00000-of-00003.*; keep one"):
        tasks.load("sst2", tmp_path / "hub")
    (home / f"train-00001-of-00003.{form}").unlink()
    with pytest.raises(
        ValueError, match=rf"lacks {name}/train-00001-of-00003\.{form}: it has 2 of the 3 files of train"
    ):
        tasks.load("sst2", tmp_path / "hub")


@pytest.mark.parametrize("other", ["test-00000-of-00001.parquet", "more.parquet", "train-00000-of-00001.arrow"])
def test_other_files_beside_shards(tmp_path, other):
    for split in ("validation", "test"):
        shards(tmp_path, {split: PARTS[split]}, 1)
    shards(tmp_path / "train", {"train": PARTS["train"]}, 2)
    (tmp_path / "train" / other).write_text("a")
    with pytest.raises(ValueError, match="has no train split, and train, which looks like one, is not read"):
        tasks.load("sst2", tmp_path)


def converted(folder, parts: dict, count: int) -> None:
    """As the hub converts a data set: SPLIT/0000.parquet."""
    for split, part in parts.items():
        (folder / split).mkdir(parents=True)
        for i in range(count):
            rows = part[len(part) * i // count : len(part) * (i + 1) // count]
            pd.DataFrame(rows).to_parquet(folder / split / f"{i:04}.parquet")


@pytest.mark.parametrize("inside", ["", "default", "sst2"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_layout_of_the_hubs_conversions(tmp_path, inside, count):
    converted(tmp_path / "hub" / inside, PARTS, count)
    assert is_whole(*tasks.load("sst2", tmp_path / "hub"))


def test_the_task_folder_among_the_hubs_conversions_is_read(tmp_path):
    converted(tmp_path / "hub" / "sst2", PARTS, 1)
    converted(tmp_path / "hub" / "cola", {"train": rows(9)}, 1)
    assert is_whole(*tasks.load("sst2", tmp_path / "hub"))


def test_a_missing_or_repeated_shard(tmp_path):
    converted(tmp_path, PARTS, 3)
    shutil.copy(tmp_path / "test" / "0001.parquet", tmp_path / "test" / "1.parquet")
    with pytest.raises(ValueError, match=r"several files for test: test/0000\.parquet, .*test/1\.parquet; keep one"):
        tasks.load("sst2", tmp_path)
    (tmp_path / "test" / "1.parquet").unlink()
    (tmp_path / "train" / "0001.parquet").unlink()
    with pytest.raises(ValueError, match=r"lacks train/0001\.parquet: it has 2 of the 3 files of train"):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize("other", ["test.parquet", "TEST/0000.parquet"])
def test_a_numbered_split_and_another_source(tmp_path, other):
    converted(tmp_path, PARTS, 2)
    (tmp_path / other).parent.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "test" / "0000.parquet", tmp_path / other)
    with pytest.raises(ValueError, match=rf"several files for test: .*{other}.*; keep one"):
        tasks.load("sst2", tmp_path)


def test_numbered_files_beside_other_data_are_not_a_split(tmp_path):
    converted(tmp_path, PARTS, 2)
    (tmp_path / "test" / "more.parquet").write_text("a")
    with pytest.raises(ValueError, match="has no test split, and test, which looks like one, is not read"):
        tasks.load("sst2", tmp_path)


def test_a_folder_named_after_a_split_is_not_a_data_set(tmp_path):
    """Read as all of the data, it would be split again, and the other splits would be lost."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        pd.DataFrame(rows(30)).to_json(tmp_path / split / ("train.jsonl" if split == "train" else "all.jsonl"))
    with pytest.raises(FileNotFoundError, match="which holds test, train. Expected .*train, validation and test as"):
        tasks.load("sst2", tmp_path)


def test_a_missing_shard(tmp_path):
    shards(tmp_path / "hub", PARTS, 3)
    (tmp_path / "hub" / "train-00001-of-00003.parquet").unlink()
    said = r"lacks train-00001-of-00003\.parquet: it has 2 of the 3 files of train"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", tmp_path / "hub")


@pytest.mark.parametrize("other", ["train.parquet", "train-00000-of-00001.parquet", "train-00000-of-00002.jsonl"])
def test_a_split_both_whole_and_in_shards(tmp_path, other):
    shards(tmp_path / "hub", PARTS, 2)
    (tmp_path / "hub" / other).write_text("a")
    with pytest.raises(ValueError, match=rf"several files for train: .*{other}.*; keep one"):
        tasks.load("sst2", tmp_path / "hub")


def test_a_repeated_shard(tmp_path):
    for mark in ("-0123456789abcdef", "-fedcba9876543210"):
        shards(tmp_path / "hub", PARTS, 1, mark=mark)
    with pytest.raises(ValueError, match=r"several files for train: .*0123456789abcdef.*, .*fedcba9876543210.*; keep"):
        tasks.load("sst2", tmp_path / "hub")


def test_files_of_one_split_with_other_columns(tmp_path):
    shards(tmp_path / "hub", PARTS, 2)
    pd.DataFrame({"sentence": [1], "label": ["x"]}).to_parquet(tmp_path / "hub" / "train-00001-of-00002.parquet")
    with pytest.raises(
        ValueError, match=r"train-00001-of-00002\.parquet in .* are files of one split, but their colum"
    ):
        tasks.load("sst2", tmp_path / "hub")


def test_the_subfolder_named_after_the_task_is_read(tmp_path):
    glue = tmp_path / "glue"
    shards(glue / "sst2", PARTS, 1)
    shards(glue / "cola", {"train": rows(9, start=90)}, 1)
    assert is_whole(*tasks.load("sst2", glue))
    with pytest.raises(ValueError, match="'.*glue' holds several data sets: cola, sst2; give the folder of one"):
        tasks.load("mrpc", glue)
    glue.rename(tmp_path / "cola")
    assert data_folders.read_folder(tmp_path / "cola")["train"].to_list() == rows(
        9, start=90
    )  # the one of its folder's name


def test_a_split_outside_the_subfolder_of_the_others(tmp_path):
    shards(tmp_path / "hub" / "data", {split: PARTS[split] for split in ("train", "validation")}, 1)
    (tmp_path / "hub" / "test.zip").write_text("a")
    with pytest.raises(ValueError, match=r"has no test split, and test\.zip, which looks like one"):
        tasks.load("sst2", tmp_path / "hub")
