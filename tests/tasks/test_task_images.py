"""Image tasks: folders and data sets that are read, and what is refused."""

import os
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
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


@pytest.fixture
def image_folder(tmp_path):
    """A function that writes SPLIT/CLASS/number.png, so many of each class, every one in its own shade."""

    def write(suffix: str = ".png", **counts: dict[str, int]) -> Path:
        shade = 0
        for split, classes in counts.items():
            for name, count in classes.items():
                (tmp_path / "data" / split / name).mkdir(parents=True)
                for number in range(count):
                    picture(shade).save(tmp_path / "data" / split / name / f"{number}{suffix}")
                    shade += 1
        return tmp_path / "data"

    return write


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


def test_other_files_in_an_image_folder_are_left_alone(image_folder):
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
    assert how == "test: a fifth of the published rows; validation: 4 rows held out of train"
    parts = {split: shades(part) for split, part in data.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 36, "validation": 4, "test": 10}
    assert sorted(sum(parts.values(), [])) == list(range(50))
    assert len(set(data["test"]["label"])) == 2
    again, _ = tasks.load("images", folder)
    assert splits.digest(again) == splits.digest(data)


def test_a_class_that_test_has_no_image_of_keeps_its_number(image_folder):
    data, _ = tasks.load("images", image_folder(train={"ant": 20, "cat": 1, "dog": 1}, test={"cat": 1, "dog": 1}))
    assert data["test"]["label"] == [1, 2] and data["test"].features["label"].names == ["ant", "cat", "dog"]


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


def test_columns_of_another_name_are_read_as_image_and_label():
    published = rows([1, 0]).rename_columns({"image": "img", "label": "fine_label"}).add_column("coarse_label", [0, 0])
    ready = tasks.get("cifar100").prepare(DatasetDict(train=published))
    assert ready["train"].column_names == ["image", "label"] and ready["train"]["label"] == [1, 0]
    own = tasks.get("cifar100").prepare(DatasetDict(train=rows([1, 0])))  # a copy that has the usual names
    assert own["train"]["label"] == [1, 0]


def test_every_published_data_set_names_two_columns():
    assert {task.kind for task in images.TASKS.values()} == {"images"}
    assert tasks.get("fgvc").columns == ("image", "variant")


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_missing_column_names_the_nearest(column):
    wrong = rows([0, 1]).rename_column(column, column + "s")
    with pytest.raises(ValueError, match=f"'{column}' is missing in split test of .*did you mean '{column}s'"):
        TASK.prepare(DatasetDict(train=rows([0, 1]), test=wrong))


def test_an_empty_or_a_missing_split():
    with pytest.raises(ValueError, match="empty split: test of task 'images' has no rows"):
        TASK.prepare(DatasetDict(train=rows([0]), test=rows([0]).select([])))
    with pytest.raises(ValueError, match="'images' needs a train split; the data has: test"):
        TASK.prepare(DatasetDict(test=rows([0])))


@pytest.mark.parametrize(
    ("label", "labels", "message"),
    [
        (CATS, [0, -1], r"label -1 in split train .*expected 0 to 1"),
        (CATS, [0, None], r"label None in split train .*expected 0 to 1"),
        (Value("int64"), [0, -1], r"label -1 in split train .*expected numbers from 0"),
        (Value("int64"), [0, None], r"label None in split train .*expected class numbers or class names"),
        (Value("string"), ["a", None], r"label None in split train .*expected class numbers or class names"),
        (Value("float64"), [0.5, 1.0], r"label (0\.5|1\.0) in split train .*expected class numbers or class names"),
        (List(Value("int64")), [[0], [1]], r"labels List.* in split train .*expected class numbers or class names"),
    ],
    ids=str,
)
def test_labels_that_are_none(label, labels, message):
    with pytest.raises(ValueError, match=message):
        TASK.prepare(DatasetDict(train=rows(labels, label)))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (rows([0, 1]), rows([0, 1], ClassLabel(names=["cat", "fox"]))),
        (rows([0, 1]), rows([0, 1], ClassLabel(names=["dog", "cat"]))),
        (rows([0, 1]), rows(["cat", "fox"], Value("string"))),
        (rows(["cat", "dog"], Value("string")), rows(["cat", "fox"], Value("string"))),
        (rows([0, 1], Value("int64")), rows([0, 2], Value("int64"))),
    ],
    ids=["classes", "order", "mixed", "names", "numbers"],
)
def test_another_class_in_test(train, test):
    with pytest.raises(ValueError, match="split test of task 'images' has other classes than train: .*(fox|dog|2)"):
        TASK.prepare(DatasetDict(train=train, test=test))


def test_another_class_folder_in_test(image_folder):
    with pytest.raises(ValueError, match=r"split test of task 'images' has other classes than train: \['fox'\]"):
        tasks.load("images", image_folder(train={"cat": 2, "dog": 2}, test={"cat": 1, "fox": 1}))


def test_a_file_that_is_no_image_is_named(image_folder):
    folder = image_folder(train={"cat": 2, "dog": 2})
    (folder / "train" / "dog" / "0.png").write_text("no image")
    with pytest.raises(ValueError, match=r"row 2 of split train of task 'images' is no image .*dog/0\.png"):
        tasks.load("images", folder)


def test_an_image_that_is_missing_is_named():
    with pytest.raises(ValueError, match="row 1 of split train of task 'images' has no image"):
        TASK.prepare(DatasetDict(train=rows([0, 1], image=[picture(), None])))
    nowhere = Dataset.from_dict({"image": ["/nowhere/a.png"], "label": [0]})
    with pytest.raises(ValueError, match="row 0 of split train .*is no image that can be read: .*/nowhere/a.png"):
        TASK.prepare(DatasetDict(train=nowhere))
    with pytest.raises(ValueError, match="column 'image' in split train of task 'images' has no images: .*int64"):
        TASK.prepare(DatasetDict(train=Dataset.from_dict({"image": [1], "label": [0]})))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": {"cat": 1, "dog": 0}}, r"class folder '.*dog' holds no images \(\.png, "),
        ({"train": {"cat": 1}, "dev": {"cat": 1}, "validation": {"cat": 1}}, "several folders for validation: "),
        ({"train": {"cat": 1}, "test": {}}, "test' holds no class folders; the other splits have some"),
        ({"validation": {"cat": 1}, "test": {"cat": 1}}, "needs a train split; the data has: validation, test"),
    ],
    ids=["empty class", "two folders", "no classes", "no train"],
)
def test_image_folders_that_are_refused(image_folder, counts, message):
    folder = image_folder(**counts)
    for split in counts:
        (folder / split).mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=message):
        tasks.load("images", folder)


def test_a_folder_without_images_says_how_they_are_looked_for(image_folder):
    folder = image_folder(cats={"small": 1})
    with pytest.raises(
        FileNotFoundError, match="holds cats; expected .*images may also lie in train/CLASS, test/CLASS"
    ):
        tasks.load("images", folder)
    with pytest.raises(FileNotFoundError, match="is not a folder; did you mean 'data'"):
        tasks.load("images", folder.with_name("dta"))


def test_images_without_a_folder_says_what_to_do():
    with pytest.raises(ValueError, match="'images' takes its images from a folder: give data_dir; .*'digits'"):
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
