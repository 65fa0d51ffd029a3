"""Images in folders, and tables that name them by their paths: what is read, and what is refused."""

import shutil

import pandas as pd
import pytest
from datasets import Dataset
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks import splits

TASK = tasks.get("images")


def shades(part: Dataset) -> list[int]:
    return [image.convert("L").getpixel((0, 0)) for image in part["image"]]


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif"])
def test_image_folders(image_folder, suffix):
    folder = image_folder(suffix, train={"dog": 2, "cat": 3}, dev={"cat": 1, "dog": 1}, test={"cat": 1, "dog": 1})
    data, how = tasks.load("images", folder)
    assert how == "test: as published"
    assert data["train"].features["label"].names == ["cat", "dog"]  # in the order of their names
    assert data["train"]["label"] == [0, 0, 0, 1, 1] and shades(data["train"]) == [2, 3, 4, 0, 1]
    assert data["validation"]["label"] == data["test"]["label"] == [0, 1]
    task = TASK.with_labels_of(data)
    assert task.labels == ("cat", "dog") and task.num_labels == 2 and TASK.labels == ()


def test_other_files_in_an_image_folder_are_ignored(image_folder):
    folder = image_folder(train={"cat": 10, "dog": 10}, test={"cat": 1, "dog": 1})
    (folder / "train" / ".ipynb_checkpoints").mkdir()  # what Jupyter and macOS leave
    (folder / "train" / "cat" / "._0.png").write_text("no image")
    (folder / "train" / "cat" / "notes.txt").write_text("no image")
    (folder / "README.md").write_text("images of mine")
    data, _ = tasks.load("images", folder)
    assert len(data["train"]) + len(data["validation"]) == 20


def test_splits_that_an_image_folder_lacks_are_made(image_folder):
    folder = image_folder(train={"cat": 25, "dog": 25})
    data, how = tasks.load("images", folder)
    assert how == "test: a fifth of the rows; validation: 4 rows held out of train"
    parts = {split: shades(part) for split, part in data.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 36, "validation": 4, "test": 10}
    assert sorted(sum(parts.values(), [])) == list(range(50))
    assert len(set(data["test"]["label"])) == 2
    again, _ = tasks.load("images", folder)
    assert splits.digest(again) == splits.digest(data)


def test_a_class_without_test_images_keeps_its_number(image_folder):
    data, _ = tasks.load("images", image_folder(train={"ant": 20, "cat": 1, "dog": 1}, test={"cat": 1, "dog": 1}))
    assert data["test"]["label"] == [1, 2] and data["test"].features["label"].names == ["ant", "cat", "dog"]


def test_another_class_folder_in_test(image_folder):
    with pytest.raises(ValueError, match=r"split test of task 'images' has classes that train lacks: \['fox'\]"):
        tasks.load("images", image_folder(train={"cat": 2, "dog": 2}, test={"cat": 1, "fox": 1}))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": {"cat": 1, "dog": 0}}, r"class folder '.*dog' holds no images; expected files as \.png, "),
        ({"train": {"cat": 1}, "dev": {"cat": 1}, "validation": {}}, "several folders for validation: dev, validation"),
        ({"train": {"cat": 1}, "Train": {"dog": 1}}, "several folders for train: Train, train; keep one"),
        ({"train": {"cat": 1}, "test": {}}, "test' holds no class folders, but other splits do"),
        ({"validation": {"cat": 1}, "test": {"cat": 1}}, "needs a train split; the data has: validation, test"),
        ({"train": {"cat": 1}}, "train of task 'images' has one class, 'cat'; at least two are needed"),
        (
            {"train": {"cat": 1, "dog": 1}, "testt": {"cat": 1}},
            "images of class 'cat' in testt, which is not a split, beside those in train; did you mean 'test'",
        ),
        ({"train": {"cat": 1, "dog": 1}, "holdout": {"Dog": 1}}, "class 'Dog' in holdout, .*choices: train, "),
        ({"train": {"cat": 1, "cat/more": 1}}, r"train/cat' holds images in a folder of its own: more/0\.png; move"),
        (
            {"train": {"cat": 1, "cat/a/b": 1}},
            r"cat' holds images in a folder of its own: a/b/0\.png; .* make a a class",
        ),
        ({"train": {"": 1, "cat": 1}}, r"train/0\.png' is beside the class folders of train; .*such as cat/0\.png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_image_folders_that_are_refused(image_folder, counts, message):
    folder = image_folder(**counts)
    for split in counts:
        (folder / split).mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=message):
        tasks.load("images", folder)


def test_folders_of_splits_in_any_case(image_folder):
    both = {"cat": 1, "dog": 1}
    data, how = tasks.load("images", image_folder(Train=both, DEV=both, Test=both))
    assert how == "test: as published"
    assert {split: shades(part) for split, part in data.items()} == {
        "train": [0, 1],
        "validation": [2, 3],
        "test": [4, 5],
    }


def test_folders_without_images_of_the_classes_are_ignored(image_folder):
    folder = image_folder(train={"cat": 10, "dog": 10}, test={"cat": 1, "dog": 1}, figures={"scores": 1})
    (folder / "train" / "cat" / "notes").mkdir()
    (folder / "train" / "cat" / "notes" / "a.txt").write_text("no image")
    (folder / "models" / "cat").mkdir(parents=True)
    data, _ = tasks.load("images", folder)
    assert len(data["train"]) + len(data["validation"]) == 20


@pytest.mark.parametrize("name", ["train.parquet", "test.jsonl", "Validation.CSV", "dataset_dict.json"])
def test_a_table_beside_class_folders(image_folder, name):
    folder = image_folder(train={"cat": 2, "dog": 2})
    (folder / name).write_text("{}")
    with pytest.raises(ValueError, match=rf"holds both class folders \(train\) and {name}; keep one"):
        tasks.load("images", folder)
    (folder / name).rename(folder / "labels.csv")  # no split by its name
    assert sum(map(len, TASK.read_folder(folder).values())) == 4


FORMS = ["jsonl", "csv", "parquet"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["data", "elsewhere"])
def test_paths_in_a_table_are_relative_to_its_folder(image_folder, data_folder, tmp_path, monkeypatch, form, place):
    """Whatever the working directory, even where it has a file of that path."""
    image_folder(pictures={"own": 2})
    elsewhere = tmp_path / "elsewhere.png"
    Pillow.new("L", (4, 4), 99).save(elsewhere)
    (tmp_path / "elsewhere" / "pictures" / "own").mkdir(parents=True)
    shutil.copy(elsewhere, tmp_path / "elsewhere" / "pictures" / "own" / "0.png")
    paths = ["pictures/own/0.png", "pictures/own/1.png", str(elsewhere)]
    folder = data_folder(form, train=[{"image": path, "label": row % 2} for row, path in enumerate(paths)])
    monkeypatch.chdir(tmp_path / place)
    monkeypatch.setenv("CIRCPEFT_IMAGE_FOLDERS", str(tmp_path))
    ready = TASK.prepare(TASK.read_folder(folder if place == "elsewhere" else "."))
    assert shades(ready["train"]) == [0, 1, 99] and ready["train"]["label"] == [0, 1, 0]


def test_a_missing_image_is_named_by_its_full_path(data_folder):
    folder = data_folder("csv", train=[{"image": "pictures/a.png", "label": 0}] * 2)
    with pytest.raises(ValueError, match=f"row 0 of split train .*{folder}/pictures/a.png"):
        tasks.load("images", folder)


def test_images_in_a_parquet_table_with_contents_and_names(image_folder, tmp_path):
    """What datasets writes: contents and names; only a picture without contents is looked for by its name."""
    folder = image_folder(pictures={"own": 2})
    content = (folder / "pictures" / "own" / "1.png").read_bytes()
    images = [{"bytes": content, "path": "b.png"}, {"bytes": None, "path": "pictures/own/0.png"}]
    pd.DataFrame({"img": images, "fine_label": [0, 1]}).to_parquet(folder / "train.parquet")
    task = tasks.get("cifar100")
    assert shades(task.prepare(task.read_folder(folder))["train"]) == [1, 0]


def test_a_truncated_image_is_named_by_its_path(image_folder):
    folder = image_folder(train={"cat": 20, "dog": 20})
    damaged = folder / "train" / "dog" / "7.png"
    damaged.write_bytes(damaged.read_bytes()[:45])
    with pytest.raises(ValueError, match=rf"row 37 of split train of task 'images' \({damaged}\) is not a readable"):
        tasks.load("images", folder)


def test_a_truncated_image_in_a_table_is_named_by_its_row(image_folder):
    """By its number in the file, though rows are held out of train later."""
    folder = image_folder(pictures={"own": 2})
    content = (folder / "pictures" / "own" / "1.png").read_bytes()
    images = [content] * 7 + [content[:45]] + [content] * 12
    pd.DataFrame({"image": images, "label": [0, 1] * 10}).to_parquet(folder / "train.parquet")
    with pytest.raises(ValueError, match="row 7 of split train of task 'images' is not a readable image"):
        tasks.load("images", folder)


def test_a_folder_without_images_names_the_layouts(image_folder):
    folder = image_folder(cats={"small": 1})
    with pytest.raises(FileNotFoundError, match="which holds cats. Expected .*images in train/CLASS, test/CLASS"):
        tasks.load("images", folder)
    with pytest.raises(FileNotFoundError, match="is not a folder; did you mean 'data'"):
        tasks.load("images", folder.with_name("dta"))


def test_class_folders_in_a_subfolder(image_folder, tmp_path):
    both = {"cat": 2, "dog": 2}
    folder = image_folder(train=both, validation=both, test=both)
    (tmp_path / "outer" / "notes").mkdir(parents=True)
    folder.rename(tmp_path / "outer" / "data")
    data, how = tasks.load("images", tmp_path / "outer")
    assert how == "test: as published"
    assert [part["label"] for part in data.values()] == [[0, 0, 1, 1]] * 3
    shutil.copytree(tmp_path / "outer" / "data", tmp_path / "outer" / "more")
    with pytest.raises(ValueError, match="outer' holds several data sets: data, more; give the folder of one"):
        tasks.load("images", tmp_path / "outer")
