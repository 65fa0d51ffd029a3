"""Folders of images with a table that names and labels them."""

import json
import shutil

import datasets
import numpy as np
import pandas as pd
import pytest

from circpeft import tasks

FORMS = {
    "metadata.csv": lambda rows, path: pd.DataFrame(rows).to_csv(path, index=False),
    "metadata.jsonl": lambda rows, path: path.write_text("\n".join(map(json.dumps, rows))),
    "metadata.parquet": lambda rows, path: pd.DataFrame(rows).to_parquet(path),
}


@pytest.fixture
def described(image_folder):
    """Write images 0.png, 1.png, ... and their table into each split, with alternating labels."""

    def write(form: str = "metadata.csv", inner: str = "", label: str | None = "label", **counts: int):
        for split, count in counts.items():
            folder = image_folder(**{split: {inner or "flat": count}})
            if not inner:
                for path in (folder / split / "flat").iterdir():
                    shutil.move(path, folder / split / path.name)
                (folder / split / "flat").rmdir()
            rows = [{"file_name": f"{inner}/{i}.png".lstrip("/")} for i in range(count)]
            rows = [row | ({label: ["cat", "dog"][i % 2]} if label else {}) for i, row in enumerate(rows)]
            FORMS[form](rows[::-1], folder / split / form)
        return folder

    return write


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inner", ["", "pictures"])
def test_metadata_labels_images_as_datasets_does(described, form, inner):
    folder = described(form, inner, train=6, validation=2, test=4)
    data, how = tasks.load("images", folder)
    assert how == "test: as published"
    real = datasets.load_dataset("imagefolder", data_dir=str(folder))
    for split, rows in data.items():
        theirs = {np.asarray(row["image"])[0, 0, 0]: row["label"] for row in real[split]}
        names = rows.features["label"].names
        assert {np.asarray(row["image"])[0, 0, 0]: names[row["label"]] for row in rows} == theirs
    assert data["train"]["label"] == [1, 0] * 3  # in the table's order


def test_a_published_name_of_the_label(described):
    folder = described(label="fine_label", train=6, validation=2, test=4)
    assert set(tasks.load("cifar100", folder)[0]["train"]["label"]) == {0, 1}


def test_a_test_split_without_labels(described):
    folder = described(train=20)
    described(label=None, test=4)
    data, how = tasks.load("images", folder)
    assert how.endswith("; the published test split has no labels") and sum(map(len, data.values())) == 20


def test_class_folders_count_where_the_table_has_no_labels(image_folder):
    both = {"cat": 3, "dog": 3}
    folder = image_folder(train=both, validation=both, test=both)
    rows = [{"file_name": f"{name}/{i}.png", "width": 4} for name in both for i in range(3)]
    for split in ("train", "validation", "test"):
        FORMS["metadata.csv"](rows, folder / split / "metadata.csv")
    assert tasks.load("images", folder)[0]["test"]["label"] == [0] * 3 + [1] * 3


def test_images_that_would_be_ignored_are_refused(described, image_folder):
    folder = described(train=6, test=4)
    (folder / "train" / "more.png").write_bytes((folder / "train" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"train' holds 1 images that metadata\.csv does not name, such as more\.png"):
        tasks.load("images", folder)
    (folder / "train" / "more.png").unlink()
    FORMS["metadata.jsonl"]([{"file_name": "0.png"}], folder / "train" / "metadata.jsonl")
    with pytest.raises(ValueError, match=r"has train/metadata\.csv, train/metadata\.jsonl for train; expected one"):
        tasks.load("images", folder)
    (folder / "train" / "metadata.jsonl").unlink()
    (folder / "test" / "metadata.csv").unlink()
    with pytest.raises(ValueError, match=r"has test for test; expected one table test/metadata\.csv \(or"):
        tasks.load("images", folder)


def test_a_missing_image(described):
    folder = described(train=6, test=4)
    (folder / "train" / "3.png").unlink()
    with pytest.raises(ValueError, match=r"row 2 of split train of task 'images'.*/train/3\.png"):
        tasks.load("images", folder)


def test_data_beside_metadata_folders_is_refused(described, data_folder, image_folder):
    folder = described(train=6, test=4)
    data_folder("csv", validation=[{"image": "train/0.png", "label": "cat"}])
    with pytest.raises(ValueError, match=r"holds both metadata \(test, train\) and validation\.csv; keep one"):
        tasks.load("images", folder)
    (folder / "validation.csv").unlink()
    (folder / "test").rename(folder / "testing")
    with pytest.raises(ValueError, match=r"has no test split, and testing, which looks like one, is not read\. Rename"):
        tasks.load("images", folder)


def test_metadata_folders_in_a_subfolder(described, tmp_path):
    folder = described(train=20, test=4)
    shutil.move(folder, tmp_path / "home" / "data")
    assert len(tasks.load("images", tmp_path / "home")[0]["test"]) == 4
    shutil.copytree(tmp_path / "home" / "data", tmp_path / "home" / "more")
    with pytest.raises(ValueError, match="holds several data sets: data, more; give the folder of one"):
        tasks.load("images", tmp_path / "home")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.json", '{"source": {"a": 1}, "authors": ["b"]}'),
        ("metadata.json", ""),
        ("metadata.csv", "a,b\n1\n1,2,3\n"),
        ("metadata.csv", "id,licence\n1,CC0\n"),
    ],
)
def test_an_unrelated_metadata_table_beside_class_folders(image_folder, name, text):
    both = {"cat": 3, "dog": 3}
    folder = image_folder(train=both, validation=both, test=both)
    (folder / "train" / name).write_text(text)
    assert tasks.load("images", folder)[0]["train"]["label"] == [0] * 3 + [1] * 3


def test_class_folders_count_where_a_split_of_them_has_no_table(image_folder):
    both = {"cat": 3, "dog": 3}
    folder = image_folder(train=both, validation=both, test=both)
    rows = [{"file_name": f"{name}/{i}.png", "label": "fish"} for name in both for i in range(3)]
    FORMS["metadata.csv"](rows, folder / "train" / "metadata.csv")
    assert tasks.load("images", folder)[0]["train"].features["label"].names == ["cat", "dog"]


def test_checkpoints_of_jupyter_are_not_images(described):
    folder = described(train=20, test=4)
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "train" / "0.png", folder / "train" / ".ipynb_checkpoints" / "0-checkpoint.png")
    assert len(tasks.load("images", folder)[0]["test"]) == 4


def test_a_file_name_that_is_not_a_text(described):
    folder = described("metadata.jsonl", train=6, test=4)
    FORMS["metadata.jsonl"]([{"file_name": 3, "label": "cat"}], folder / "train" / "metadata.jsonl")
    with pytest.raises(ValueError, match=r"row 0 of '.*metadata\.jsonl' has 3 in column 'file_name'; expected"):
        tasks.load("images", folder)
