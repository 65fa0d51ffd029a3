"""The error for a folder without data says what to rename; publishers' names of folders are known."""

import shutil

import pandas as pd
import pytest

from circpeft import tasks

ROWS = [{"sentence": "a b", "label": 0}, {"sentence": "b a", "label": 1}]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sst2_train", "sst2_dev"], r"\. Move sst2_dev\.csv to validation\.csv, sst2_train\.csv to train\.csv\.$"),
        (["in_domain_train", "in_domain_dev", "out_of_domain_dev"], r"\. Move in_domain_train\.csv to train\.csv\.$"),
        (["my_train", "a", "b"], r"\. Move my_train\.csv to train\.csv\.$"),
        (["held_out", "notes"], r"or \.parquet\.$"),  # validation or test
        (["train/data", "test/test"], r"\. Move test/test\.csv to test\.csv, train/data\.csv to train\.csv\.$"),
    ],
    ids=str,
)
def test_files_with_names_that_resemble_splits(tmp_path, names, said):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pd.DataFrame(ROWS).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(FileNotFoundError, match=said):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["msr_paraphrase_data", "msr_paraphrase_test", "msr_paraphrase_train"], "test.txt to test.tsv, msr_paraphra"),
        (["test", "train"], r"\. Move test\.txt to test\.tsv, train\.txt to train\.tsv\.$"),
        (["sst2"], r"\. If sst2\.txt is all of the data, name it train\.tsv\.$"),
    ],
    ids=str,
)
def test_text_files_with_tabs_are_tsv(tmp_path, names, said):
    for name in names:
        (tmp_path / f"{name}.txt").write_text("sentence\tlabel\na\t1\n")
    (tmp_path / "readme.txt").write_text("no tabs")
    with pytest.raises(FileNotFoundError, match=said):
        tasks.load("sst2", tmp_path)


def test_a_file_instead_of_its_folder(data_folder):
    folder = data_folder(train=ROWS)
    with pytest.raises(FileNotFoundError, match=rf"train\.jsonl' is not a folder; give '{folder}'$"):
        tasks.load("sst2", folder / "train.jsonl")


def test_an_archive_instead_of_its_folder(tmp_path):
    (tmp_path / "sst2.zip").write_text("a")
    with pytest.raises(FileNotFoundError, match=r"sst2\.zip' is not a folder; give a folder; unpack an archive first$"):
        tasks.load("sst2", tmp_path / "sst2.zip")


def test_the_nearest_of_many_folders_are_named(tmp_path):
    for i in range(100):
        (tmp_path / f"run {i}").mkdir()
    (tmp_path / "SST-2").mkdir()
    with pytest.raises(FileNotFoundError, match=r"; did you mean 'SST-2'\? \(choices: SST-2(, run \d+){4}\)$"):
        tasks.load("sst2", tmp_path / "SST2")


@pytest.mark.parametrize("names", [{"training": "train", "testing": "test"}, {"my_train": "train", "my_test": "test"}])
def test_image_folders_with_names_that_resemble_splits(image_folder, names):
    both = {"cat": 2, "dog": 2}
    folder = image_folder(**dict.fromkeys(names, both), notes={})
    said = r"\. Rename " + ", ".join(f"{name} to {split}" for name, split in names.items())
    with pytest.raises(FileNotFoundError, match=rf"train/CLASS, test/CLASS and so on; .*{said}\.$"):
        tasks.load("images", folder)


@pytest.mark.parametrize("name", ["SST-2", "sst_2", "SST2"])
def test_the_task_folder_among_glues_folders_is_read(data_folder, tmp_path, name):
    folder = data_folder(train=ROWS, dev=ROWS, test=ROWS)
    for inner in (name, "CoLA"):
        shutil.copytree(folder, tmp_path / "glue" / inner)
    (tmp_path / "glue" / "CoLA" / "train.jsonl").write_text("no JSON")
    data, how = tasks.load("sst2", tmp_path / "glue")
    assert how == "test: as published" and data["train"].to_list() == ROWS
