"""Pictures that would be left out unsaid, and tables of pictures as they come."""

import gzip

import pytest
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.data_folders import file_formats

BOTH = {"cat": 2, "dog": 2}


@pytest.mark.parametrize("suffix", [".jfif", ".ppm", ".pgm", ".JPEG", ".jp2"])
def test_other_image_endings_are_read(image_folder, suffix):
    folder = image_folder(train={"cat": 4, "dog": 4}, validation=BOTH, test=BOTH)
    form = {".jfif": "JPEG", ".JPEG": "JPEG", ".jp2": "JPEG2000"}.get(suffix, "PPM")
    mode = "L" if suffix == ".pgm" else "RGB"
    Pillow.new(mode, (16, 16), 255).save(folder / "train" / "cat" / f"more{suffix}", form)
    assert tasks.load("images", folder)[0]["train"]["label"] == [0] * 5 + [1] * 4


@pytest.mark.parametrize("name", ["a.heic", "b.HEIF", "c.svg"])
def test_images_in_unread_formats_are_named(image_folder, name):
    folder = image_folder(train=BOTH, test=BOTH)
    (folder / "test" / "dog" / name).write_text("a")
    with pytest.raises(
        ValueError, match=rf"folder '.*test/dog' holds {name}, which is not read; convert it to one of \.png, "
    ):
        tasks.load("images", folder)


def test_no_image_format_is_both_read_and_unread():
    assert not {*file_formats.UNREAD_IMAGES} & {*file_formats.IMAGES}


def test_a_split_of_images_without_classes_says_what_to_do(image_folder):
    folder = image_folder(train=BOTH, test={"": 2})
    with pytest.raises(ValueError, match="holds no class folders, but other splits do; put its images into"):
        tasks.load("images", folder)


def test_a_compressed_table_beside_class_folders(image_folder):
    folder = image_folder(train=BOTH, test=BOTH)
    (folder / "test.csv.gz").write_bytes(gzip.compress(b"image,label\n"))
    with pytest.raises(ValueError, match=r"holds both class folders \(test, train\) and test\.csv\.gz; keep one"):
        tasks.load("images", folder)


def test_a_test_table_with_only_paths_has_no_labels(image_folder, data_folder):
    image_folder(pictures={"own": 20})
    paths = [f"pictures/own/{i}.png" for i in range(20)]
    train = [{"image": path, "label": i % 2} for i, path in enumerate(paths)]
    data, how = tasks.load("images", data_folder("csv", train=train, test=[{"image": path} for path in paths]))
    assert how.startswith("test: a fifth of the rows; ") and how.endswith("; the published test split has no labels")
    assert len(data["train"]) + len(data["validation"]) == 16


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_path_is_not_an_image(image_folder, data_folder, form, blank):
    image_folder(pictures={"own": 2})
    paths = ["pictures/own/0.png", "pictures/own/1.png", blank]
    rows = [{"image": path, "label": i % 2} for i, path in enumerate(paths)]
    with pytest.raises(ValueError, match="row 2 of split train of task 'images' has no image"):
        tasks.load("images", data_folder(form, train=rows))


def test_an_image_written_as_text_is_shortened_in_the_error(data_folder):
    with pytest.raises(ValueError, match="row 0 of split train .* is not a readable image") as caught:
        tasks.load("images", data_folder(train=[{"image": "A" * 100_000, "label": i % 2} for i in range(2)]))
    assert len(str(caught.value)) < 1100


@pytest.mark.parametrize("last", [1000, 123_456])
def test_ids_are_not_class_numbers(image_folder, data_folder, last):
    """They would make as many outputs of the model."""
    image_folder(pictures={"own": 2})
    rows = [{"image": f"pictures/own/{i}.png", "label": label} for i, label in enumerate([0, last])]
    said = f"row 1 of split train .* label {last}, which makes {last + 1} classes of 2 rows; .* such as 'id {last}'"
    with pytest.raises(ValueError, match=said):
        tasks.load("images", data_folder(train=rows, validation=rows, test=rows))
    rows[1]["label"] = 999
    assert tasks.load("images", data_folder(train=rows, validation=rows, test=rows))[0]["train"]["label"] == [0, 999]


def test_a_small_test_split_may_have_one_of_many_classes(image_folder, data_folder):
    image_folder(pictures={"own": 1})
    train = [{"image": "pictures/own/0.png", "label": label} for label in range(1001)]
    data, _ = tasks.load("images", data_folder(train=train, validation=train[:2], test=train[-1:]))
    assert len(data["train"].features["label"].names) == 1001 and data["test"]["label"] == [1000]
