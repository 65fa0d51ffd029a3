"""Names and places of splits in a data folder: what is read, what is refused, and what is named as not used."""

import json
import shutil

import pytest
from datasets import Dataset, DatasetDict

from circpeft import data_folders, tasks


def rows(count: int, start: int = 0) -> list[dict]:
    return [{"sentence": f"text {i}", "label": i % 2} for i in range(start, start + count)]


TRAIN, VALIDATION, TEST = rows(6), rows(4, start=20), rows(3, start=40)
PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def saved() -> DatasetDict:
    return DatasetDict({split: Dataset.from_list(part) for split, part in PARTS.items()})


def is_whole(data: DatasetDict, how: str) -> bool:
    """Return whether all splits have their rows, and nothing is reported as unused."""
    return how == "test: as published" and {split: part.to_list() for split, part in data.items()} == PARTS


@pytest.mark.parametrize("name", ["dev", "valid", "val", "eval", "evaluation", "Validation", "VAL", "Dev"])
def test_names_of_validation(data_folder, tmp_path, name):
    folder = data_folder(Train=TRAIN, TEST=TEST, **{name: VALIDATION})
    assert is_whole(*tasks.load("sst2", folder))
    DatasetDict({"Train": saved()["train"], name: saved()["validation"], "test": saved()["test"]}).save_to_disk(
        tmp_path / "saved"
    )
    assert is_whole(*tasks.load("sst2", tmp_path / "saved"))


def test_endings_in_any_case(data_folder):
    folder = data_folder("csv", **PARTS)
    (folder / "test.csv").rename(folder / "Test.CSV")
    assert is_whole(*tasks.load("sst2", folder))


@pytest.mark.parametrize("names", [("dev", "validation"), ("val", "eval"), ("test", "Test")])
def test_a_saved_data_set_with_a_repeated_split(tmp_path, names):
    parts = saved()
    parts |= {name: parts["test"] for name in names}
    if "validation" not in names and names[0] != "test":
        del parts["validation"]
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=rf"several splits for (validation|test): .*{names[1]}.*; keep one"):
        tasks.load("sst2", tmp_path / "saved")


@pytest.mark.parametrize(
    "name",
    ["test.txt", "Test.XLSX", "test.jsonl.zst", "test.parquet.gz", "test_matched.jsonl", "testing.csv", "rte.test.json"]
    + ["held_out.jsonl", "holdout.parquet", "test-00000-of-00001.arrow", "test/part.parquet"],
)
def test_a_near_miss_of_test_is_refused(data_folder, name):
    folder = data_folder(train=TRAIN, validation=VALIDATION)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("a")
    said = rf"test split, and {name.partition('/')[0]}, which looks like one, is not read\. Rename .* test as \.jsonl"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", folder)
    Dataset.from_list(TEST).to_json(folder / "test.jsonl")
    if name != "test/part.parquet":  # with a test split it is another file
        assert tasks.load("sst2", folder)[1] == f"test: as published; not used: {name}"


def test_a_near_miss_of_validation_is_refused(data_folder):
    with pytest.raises(ValueError, match=r"has no validation split, and validation_matched\.jsonl, which looks like"):
        tasks.load("sst2", data_folder(train=TRAIN, validation_matched=VALIDATION))


def test_a_saved_split_that_is_not_read_is_not_made_up_for(tmp_path):
    parts = saved()
    DatasetDict(train=parts["train"], validation_matched=parts["validation"]).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match="has no validation split, and validation_matched, which looks like one"):
        tasks.load("sst2", tmp_path / "saved")
    parts.pop("test")
    parts.save_to_disk(tmp_path / "beside")
    (tmp_path / "beside" / "test.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"has no test split, and test\.jsonl, which looks like one"):
        tasks.load("sst2", tmp_path / "beside")


def test_a_folder_of_unread_formats(data_folder):
    folder = data_folder()
    (folder / "train.xlsx").write_text("a")
    said = r"holds train\.xlsx\. Expected .* as \.jsonl, \.json, \.csv, \.tsv \(each also with \.gz\) or \.parquet"
    with pytest.raises(FileNotFoundError, match=said):
        tasks.load("sst2", folder)


def test_unused_data_is_named(data_folder, tmp_path):
    folder = data_folder(**PARTS, extra=TRAIN)
    (folder / "more.tsv").write_text("a")
    shutil.copytree(data_folder(), folder / "old")
    assert tasks.load("sst2", folder)[1] == "test: as published; not used: extra.jsonl, more.tsv, old"
    further = saved() | {"unsupervised": Dataset.from_list([{"x": 1}])}
    DatasetDict(further).save_to_disk(tmp_path / "saved")
    assert tasks.load("sst2", tmp_path / "saved")[1] == "test: as published; not used: unsupervised"


def test_descriptions_are_not_data(data_folder):
    folder = data_folder(**PARTS)
    for name in ("README.md", "dataset_infos.json", "notes.txt", ".test.jsonl.swp", "test.py", "generate.py"):
        (folder / name).write_text("a")
    (folder / "figures").mkdir()
    assert is_whole(*tasks.load("sst2", folder))


def test_splits_saved_one_by_one(tmp_path):
    for split, part in saved().items():
        part.save_to_disk(tmp_path / "saved" / split)
    assert is_whole(*tasks.load("sst2", tmp_path / "saved"))
    (tmp_path / "saved" / "test").rename(tmp_path / "saved" / "testing")
    with pytest.raises(ValueError, match="has no test split, and testing, which looks like one"):
        tasks.load("sst2", tmp_path / "saved")
    (tmp_path / "saved" / "test.jsonl").write_text(json.dumps(TEST[0]))
    with pytest.raises(ValueError, match="mixes formats: json, saved; use one"):
        tasks.load("sst2", tmp_path / "saved")


@pytest.mark.parametrize("split", [None, "train", "train[:50%]", "test", "unsupervised"])
def test_a_single_saved_split(data_folder, tmp_path, split):
    part = Dataset.from_json(str(data_folder(train=TRAIN) / "train.jsonl"), split=split and split.partition("[")[0])
    part.save_to_disk(tmp_path / "saved")
    name = (split or "train").partition("[")[0]
    data, unused = data_folders.read_with_unused(tmp_path / "saved")
    assert {split: rows.to_list() for split, rows in data.items()} == {name: TRAIN} and unused == []
    with pytest.raises(ValueError, match=f"'sst2' needs a train split; the data has: {name}|rows of train are too few"):
        tasks.load("sst2", tmp_path / "saved")


def test_an_unrelated_state_file_is_not_a_saved_data_set(data_folder):
    folder = data_folder(**PARTS)
    (folder / "state.json").write_text("no JSON")
    assert is_whole(*tasks.load("sst2", folder))


def test_a_saved_data_set_that_is_damaged(tmp_path):
    saved().save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot read the saved data set '.*saved'"):
        tasks.load("sst2", tmp_path / "saved")


def test_tables_beside_folders_of_images_are_named(image_folder):
    both = {"cat": 2, "dog": 2}
    folder = image_folder(train=both, validation=both, test=both)
    (folder / "labels.csv").write_text("a")
    (folder / "train" / "sizes.csv").write_text("a")
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "train.jsonl").write_text(json.dumps(TRAIN[0]))
    assert tasks.load("images", folder)[1] == "test: as published; not used: labels.csv"
