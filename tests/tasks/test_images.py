"""Image tasks: folders and data sets that are read, and what is refused."""

import os
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks import images, splits

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")
TASK = tasks.get("images")
CATS = ClassLabel(names=["cat", "dog"])


def picture(shade: int = 0, mode: str = "RGB") -> Pillow.Image:
    return Pillow.new("L", (4, 4), shade).convert(mode)


def rows(labels: list, label: object = CATS, image: list | None = None) -> Dataset:
    """Images in as many shades as there are labels, or those that are given."""
    made = {"image": image or [picture(shade) for shade in range(len(labels))], "label": labels}
    return Dataset.from_dict(made, features=Features(image=Image(), label=label))


def shades(part: Dataset) -> list[int]:
    return [image.convert("L").getpixel((0, 0)) for image in part["image"]]


SAVED = [
    (CATS, [1, 0, 1], ["cat", "dog"], [1, 0, 1]),
    (Value("string"), ["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
    (Value("int64"), [3, 1, 3], ["0", "1", "2", "3"], [3, 1, 3]),
]


@pytest.mark.parametrize(("label", "given", "names", "read"), SAVED, ids=["classes", "names", "numbers"])
def test_a_saved_data_set(tmp_path, label, given, names, read):
    made = DatasetDict(train=rows(given, label), valid=rows(given[:1], label), test=rows(given[1:2], label))
    made.save_to_disk(tmp_path / "saved")
    data, how = tasks.load("images", tmp_path / "saved")
    assert how == "test: as published" and list(data) == ["train", "validation", "test"]
    assert {part.features["label"].names[0] for part in data.values()} == {names[0]}
    assert data["train"].features["label"].names == names
    assert (data["train"]["label"], data["validation"]["label"], data["test"]["label"]) == (read, read[:1], read[1:2])
    assert shades(data["train"]) == [0, 1, 2]


def test_published_columns_become_image_and_label():
    published = rows([1, 0]).rename_columns({"image": "img", "label": "fine_label"}).add_column("coarse_label", [0, 0])
    ready = tasks.get("cifar100").prepare(DatasetDict(train=published))
    assert ready["train"].column_names == ["image", "label"] and ready["train"]["label"] == [1, 0]
    both = published.rename_column("coarse_label", "label").add_column("image", ["a.png"] * 2)
    ready = tasks.get("cifar100").prepare(DatasetDict(train=both))  # the published columns, not what stands beside
    assert ready["train"]["label"] == [1, 0] and shades(ready["train"]) == [0, 1]
    own = tasks.get("cifar100").prepare(DatasetDict(train=rows([1, 0])))  # a copy that has the usual names
    assert own["train"]["label"] == [1, 0]


def test_every_published_data_set_names_two_columns():
    assert {task.kind for task in images.TASKS.values()} == {"images"}
    assert tasks.get("fgvc").columns == ("image", "variant")


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_missing_column_names_the_nearest(column):
    wrong = rows([0, 1]).rename_column(column, column + "s")
    with pytest.raises(
        ValueError, match=f"'{column}' is missing in split test of .*; rename '{column}s' to '{column}'"
    ):
        TASK.prepare(DatasetDict(train=rows([0, 1]), test=wrong))


def test_an_empty_or_a_missing_split():
    with pytest.raises(ValueError, match="empty split: test of task 'images' has no rows"):
        TASK.prepare(DatasetDict(train=rows([0, 1]), test=rows([0]).select([])))
    with pytest.raises(ValueError, match="'images' needs a train split; the data has: test"):
        TASK.prepare(DatasetDict(test=rows([0])))


def test_a_file_that_is_not_an_image_is_named(image_folder):
    folder = image_folder(train={"cat": 2, "dog": 2})
    (folder / "train" / "dog" / "0.png").write_text("no image")
    with pytest.raises(ValueError, match=r"row 2 of split train of task 'images' is not a readable image.*dog/0\.png"):
        tasks.load("images", folder)


def test_an_image_that_is_missing_is_named():
    with pytest.raises(ValueError, match="row 1 of split train of task 'images' has no image"):
        TASK.prepare(DatasetDict(train=rows([0, 1], image=[picture(), None])))
    nowhere = Dataset.from_dict({"image": ["/nowhere/a.png"], "label": [0]})
    with pytest.raises(ValueError, match="row 0 of split train .*is not a readable image: .*/nowhere/a.png"):
        TASK.prepare(DatasetDict(train=nowhere))
    with pytest.raises(ValueError, match="column 'image' in split train of task 'images' has no images: .*int64"):
        TASK.prepare(DatasetDict(train=Dataset.from_dict({"image": [1], "label": [0]})))


def test_images_without_a_folder_says_what_to_do():
    with pytest.raises(ValueError, match="'images' reads its images from a folder: give data_dir; .*'digits'"):
        tasks.load("images")


@pytest.mark.skipif(not ROOT, reason="CIRCPEFT_DATA_DIR is not set: it names a folder with clothing10_112px")
def test_a_real_saved_data_set():
    if not (Path(ROOT) / "clothing10_112px").is_dir():
        pytest.skip("CIRCPEFT_DATA_DIR has no folder clothing10_112px")
    data, how = tasks.load("images", Path(ROOT) / "clothing10_112px")
    assert [len(data[split]) for split in ("train", "validation", "test")] == [3068, 341, 372]
    assert how == "test: as published" and TASK.with_labels_of(data).num_labels == 10
    assert {len(set(part["label"])) for part in data.values()} == {10}
    assert splits.digest(data) == splits.digest(tasks.load("images", Path(ROOT) / "clothing10_112px")[0])
