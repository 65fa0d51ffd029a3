"""A data folder gives access to nothing outside it: images, saved data sets, splits."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image as Pillow

from circpeft import tasks


@pytest.fixture
def folder(tmp_path):
    """A folder "data" with two images per split, beside an image "secret.png" in no data folder."""
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for number in range(2):
            picture(tmp_path / "data" / split / f"{number}.png")
    picture(tmp_path / "secret.png")
    return tmp_path / "data"


def picture(path, form=None):
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)).save(path, form)


def write(folder, form, rows):
    frame = pd.DataFrame(rows)
    if form == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    elif form == "csv":
        frame.to_csv(folder / "metadata.csv", index=False)
    else:
        frame.to_parquet(folder / "metadata.parquet")


def rows_of(third):
    return [
        {"file_name": "0.png", "label": "a"},
        {"file_name": "1.png", "label": "b"},
        {"file_name": third, "label": "a"},
    ]


OUTSIDE = [
    "../../secret.png",
    "ABSOLUTE",
    "x/../../../secret.png",
    "http://127.0.0.1:1/secret.png",
    "file:///secret.png",
]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_metadata(folder, form, path):
    path = path if path != "ABSOLUTE" else str(folder.parent / "secret.png")
    write(folder / "train", form, rows_of(path))
    write(folder / "test", form, rows_of("0.png"))
    with pytest.raises(ValueError, match="row 2 of split train names the image .*secret.png', outside the data folder"):
        tasks.load("images", folder)


def test_tables_of_splits(folder):
    for split, third in (("train", "../secret.png"), ("test", "test/0.png")):
        rows = [{"image": f"{split}/{k}.png", "label": "ab"[k]} for k in range(2)] + [{"image": third, "label": "a"}]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="row 2 of split train names the image .*secret.png', outside the data folder"):
        tasks.load("images", folder)


@pytest.mark.parametrize("path", ["../secret.png", "ABSOLUTE"])
def test_saved_data_sets(folder, path):
    path = path if path != "ABSOLUTE" else str(folder.parent / "secret.png")
    saved = Dataset.from_dict({"image": [path] * 2, "label": ["a", "b"]})
    DatasetDict(train=saved).save_to_disk(folder.parent / "saved")
    with pytest.raises(ValueError, match="row 0 of split train names the image .*secret.png', outside the data folder"):
        tasks.load("images", folder.parent / "saved")


def test_the_setting_that_allows_a_folder(folder, monkeypatch):
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    picture(elsewhere / "a.png")
    write(folder / "train", "jsonl", rows_of(str(elsewhere / "a.png")))
    write(folder / "test", "jsonl", rows_of("0.png"))
    with pytest.raises(ValueError, match="allow its folder with CIRCPEFT_IMAGE_FOLDERS=FOLDER"):
        tasks.load("images", folder)
    monkeypatch.setenv("CIRCPEFT_IMAGE_FOLDERS", os.pathsep.join(["/nowhere", str(elsewhere)]))
    assert len(tasks.get("images").read_folder(folder)["train"]) == 3
    monkeypatch.setenv("CIRCPEFT_IMAGE_FOLDERS", str(folder.parent / "else"))  # not the beginning of a name
    with pytest.raises(ValueError, match="outside the data folder"):
        tasks.load("images", folder)


def test_paths_inside_by_any_spelling(folder, monkeypatch):
    write(folder / "train", "jsonl", rows_of("../test/0.png"))
    write(folder / "test", "jsonl", rows_of(str(folder / "train" / "0.png")))
    (folder.parent / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    for place in (folder, "data", "./data/../data", "link"):
        assert len(tasks.get("images").read_folder(place)["test"]) == 3


@pytest.mark.parametrize("name", ["../../secret.arrow", "/etc/passwd", "", None, 3, "a/b.arrow"])
def test_the_files_that_a_saved_split_names(tmp_path, name):
    saved = tmp_path / "saved"
    DatasetDict(train=Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]})).save_to_disk(saved)
    state = json.loads((saved / "train" / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (saved / "train" / "state.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"state\.json in .* names the file .*; expected one in that folder"):
        tasks.load("sst2", saved)


@pytest.mark.parametrize("splits", [["../other"], ["/etc"], [""], [3], "train", None, {"train": 1}])
def test_the_splits_that_a_saved_data_set_names(tmp_path, splits):
    saved = tmp_path / "saved"
    DatasetDict(train=Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]})).save_to_disk(saved)
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    with pytest.raises(ValueError, match="the saved data set .* names"):
        tasks.load("sst2", saved)


@pytest.mark.parametrize("content", ["[]", "3", "{", "[" * 100_000])
@pytest.mark.parametrize("name", ["dataset_dict.json", "train/state.json"])
def test_broken_descriptions_of_a_saved_data_set(tmp_path, name, content):
    saved = tmp_path / "saved"
    DatasetDict(train=Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1]})).save_to_disk(saved)
    (saved / name).write_text(content)
    with pytest.raises(ValueError, match="cannot read the saved data set"):
        tasks.load("sst2", saved)


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "TGA", "SGI", "PCX"])
def test_other_formats_under_the_name_of_a_usual_one(folder, form):
    for split in ("train", "test"):
        for name in "ab":
            (folder / split / name).mkdir()
            (folder / split / f"{'ab'.index(name)}.png").rename(folder / split / name / "0.png")
    Pillow.new("RGB", (16, 16)).save(folder / "train" / "a" / "1.png", form)
    with pytest.raises(ValueError, match=r"is not a readable image: .*a/1\.png'; expected one of PNG, JPEG"):
        tasks.load("images", folder)
