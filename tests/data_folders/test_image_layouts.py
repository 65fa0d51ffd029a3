"""Images in layouts without splits, and in those of the publishers' own downloads: read, or refused with what to do."""

import pytest
from datasets import Dataset
from PIL import Image as Pillow

from circpeft import tasks


def write(folder, *names: str) -> None:
    """Pictures, and files of something else, in a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Pillow.new("RGB", (4, 4), (9, 9, 9)).save(folder / name)
        else:
            (folder / name).write_text("a")


@pytest.mark.parametrize("home", ["", "2750", "outer"])
def test_class_folders_without_splits_are_train(image_folder, tmp_path, home):
    folder = image_folder(**{home: {"rain": 20, "River": 30}} if home else {"rain": {"": 20}, "River": {"": 30}})
    (folder / ".DS_Store").write_text("a")
    (folder / "README.txt").write_text("a")
    data, how = tasks.load("images", folder)
    assert how == "test: a fifth of the rows; validation: 4 rows held out of train"
    assert data["train"].features["label"].names == ["River", "rain"]
    assert {split: len(rows) for split, rows in data.items()} == {"train": 36, "validation": 4, "test": 10}
    assert sum(sum(rows["label"][:]) for rows in data.values()) == 20


def test_a_table_beside_folders_of_classes_is_named(image_folder):
    folder = image_folder(cat={"": 20}, dog={"": 20})
    (folder / "sizes.csv").write_text("a")
    assert tasks.load("images", folder)[1].endswith("held out of train; not used: sizes.csv")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["cat/1.npy"], r"has more than folders of images: cat/1\.npy"),
        (["cat/inner/0.png"], "has more than folders of images: cat/inner"),
        (["0.png"], r"has more than folders of images: 0\.png"),
        (["masks/list.txt"], r"has more than folders of images: masks/list\.txt"),
        (
            ["metadata.csv"],
            "Move metadata.csv and its images to train, with the paths in train in its column f",
        ),
        (
            ["train_set/0.png", "test_set/0.png"],
            r"Rename train_set to train, test_set to test\.$|has train_set, which",
        ),
        (["val/0.png"], "val holds images, but neither class folders nor a metadata.csv"),
    ],
    ids=str,
)
@pytest.mark.parametrize("home", ["", "inner"])
def test_class_folders_beside_other_files_are_not_read(tmp_path, more, said, home):
    write(tmp_path / "data" / home, "cat/0.png", "dog/0.png", *more)
    with pytest.raises(FileNotFoundError, match=said):
        tasks.load("images", tmp_path / "data")


@pytest.mark.parametrize("beside", ["0.png", "metadata.csv", "masks/list.txt"])
def test_a_folder_of_classes_beside_other_files_is_not_read(tmp_path, beside):
    write(tmp_path / "data", "images/cat/0.png", "images/dog/0.png", beside)
    with pytest.raises(FileNotFoundError, match="images in train/CLASS, .*images in CLASS, without other files"):
        tasks.load("images", tmp_path / "data")


@pytest.mark.parametrize(
    ("task", "names", "said"),
    [
        ("pets", ["images/a_1.jpg", "annotations/list.txt"], r" data has more than .*: annotations/list\.txt\. Of the"),
        ("dtd", ["images/a/1.jpg", "images/b/1.jpg", "labels/train1.txt"], "data has more than folders of images: ima"),
        (
            "fgvc",
            ["data/images/1.jpg", "data/images_variant_train.txt"],
            r"has fewer than two folders of images\.",
        ),
        ("cifar100", ["meta", "train", "test"], r"test, train without an ending are not read \(they may be pickles, "),
        ("cars", ["cars_train/1.jpg", "cars_test/1.jpg"], r"Rename cars_train to train, cars_test to test\."),
    ],
)
def test_publishers_layouts_name_the_layout_to_use(tmp_path, task, names, said):
    write(tmp_path / "data", *names)
    with pytest.raises(FileNotFoundError, match=said) as caught:
        tasks.load(task, tmp_path / "data")
    assert str(caught.value).endswith(f"the layout that the hub has as {tasks.get(task).hub[0]} is read.")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["0.png"],
            r" Move metadata\.csv and its images to train, with the paths in train in its column file\w+\.$",
        ),
        (
            ["train/0.png", "test/0.png"],
            r" Give each of test, train a metadata\.csv of its own, with its col",
        ),
    ],
)
def test_a_metadata_table_above_the_split_folders(tmp_path, names, said):
    write(tmp_path / "data", *names, "metadata.csv")
    with pytest.raises(FileNotFoundError, match=said) as caught:
        tasks.load("images", tmp_path / "data")
    assert "name it train" not in str(caught.value)


@pytest.mark.parametrize("ending", [".ico", ".npy", ".heic"])
def test_an_image_in_an_unread_format(image_folder, ending):
    folder = image_folder(train={"cat": 20, "dog": 20})
    (folder / "train" / "cat" / f"more{ending}").write_text("a")
    with pytest.raises(ValueError, match=rf"class folder '.*cat' holds more\{ending}, which is not read"):
        tasks.load("images", folder)


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("pixels", [[1] * 3000, [[[0.5] * 3] * 16] * 16], ids=["flat", "nested"])
def test_lists_of_pixels_are_not_images(data_folder, form, pixels):
    rows = [{"image": [*pixels], "label": i % 2} for i in range(4)]
    folder = data_folder("json" if form == "parquet" else form, train=rows, validation=rows, test=rows)
    if form == "parquet":
        for split in ("train", "validation", "test"):
            Dataset.from_list(rows).to_parquet(folder / f"{split}.parquet")
            (folder / f"{split}.json").unlink()
    said = r"column 'image' in split train of task 'images' has no images: \[.*; expected the contents of image files"
    with pytest.raises(ValueError, match=said) as caught:
        tasks.load("images", folder)
    assert len(str(caught.value)) < 400
