"""Image files as cameras, scanners and programs write them: each is read as a viewer shows it, or named."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from circpeft import tasks
from circpeft.tasks import pictures

NOISE = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)
PICTURE = Pillow.fromarray(NOISE)
TEXT = "x" * 2_000_000


@pytest.fixture
def added(image_folder):
    """Return a function that puts a file into train/cat, and returns the pictures of train as the model sees them."""

    def load(name: str, content: bytes) -> list[np.ndarray]:
        classes = {"cat": 2, "dog": 2}
        folder = image_folder(train=classes, validation=classes, test=classes)
        (folder / "train" / "cat" / name).write_bytes(content)
        data, _ = tasks.load("images", folder)
        return [np.asarray(pictures.rgb(picture)) for picture in data["train"]["image"]]

    return load


def written(image: Pillow.Image, form: str, **options) -> bytes:
    with io.BytesIO() as file:
        image.save(file, form, **options)
        return file.getvalue()


def with_text(compressed: bool) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", TEXT, zip=compressed)
    return info


@pytest.mark.parametrize(
    "options",
    [{"pnginfo": with_text(True)}, {"pnginfo": with_text(False)}, {"icc_profile": b"\0" * 2_000_000}],
    ids=["compressed text", "text", "colour profile"],
)
def test_large_metadata_of_a_png(added, options):
    assert any(np.array_equal(seen, NOISE) for seen in added("meta.png", written(PICTURE, "png", **options)))


def test_a_picture_is_turned_as_its_camera_says(added):
    turned = Pillow.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees clockwise
    content = written(PICTURE, "png", exif=turned)
    assert any(np.array_equal(seen, np.rot90(NOISE, -1)) for seen in added("turned.png", content))


def test_16_bits_of_colour_and_cmyk(added):
    values = np.full((4, 4), 65535, "<u2")
    assert any((seen == 255).all() for seen in added("deep.png", written(Pillow.fromarray(values), "png")))
    inks = PICTURE.convert("CMYK")
    assert np.array_equal(pictures.rgb(inks), inks.convert("RGB"))


@pytest.mark.parametrize(("name", "form"), [("a.gif", "gif"), ("a.png", "png"), ("a.webp", "webp"), ("a.tiff", "tiff")])
def test_the_first_frame_is_used_and_the_others_are_named(added, name, form):
    frames = [Pillow.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if form == "webp" else {}
    content = written(frames[0], form, save_all=True, append_images=frames[1:], **lossless)
    with pytest.warns(
        UserWarning, match=rf"1 images of split train have several frames .*/{name}; only the first frame of each is"
    ):
        seen = added(name, content)
    assert any((picture == (255, 0, 0)).all() for picture in seen)


def test_a_picture_of_one_frame_is_not_mentioned(added):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        added("a.gif", written(PICTURE.convert("L"), "gif"))


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "webp", "tiff"])
def test_a_truncated_file_is_refused_by_its_name(added, form):
    content = written(PICTURE.resize((64, 64)), form)
    with pytest.raises(ValueError, match=rf"split train of task 'images' .*/cut\.{form}.* is not a readable image"):
        added(f"cut.{form}", content[: len(content) // 2])


def test_a_picture_of_too_many_pixels_is_refused_by_its_name(added, monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(
        ValueError, match=r"/huge\.png\) is not a readable image: Image size \(96 pixels\) exceeds limit"
    ):
        added("huge.png", written(PICTURE, "png"))


def test_other_data_under_the_name_of_a_picture(added):
    with pytest.raises(ValueError, match=r"is not a readable image: cannot identify image file '.*/phone\.jpg'"):
        added("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize(
    ("name", "said"), [("0.txt", "1 .txt file"), ("a.wav", "1 .wav file"), ("boxes.json", "1 .json")]
)
def test_files_beside_the_images_are_named(image_folder, name, said):
    classes = {"cat": 2, "dog": 2}
    folder = image_folder(train=classes, validation=classes, test=classes)
    (folder / "train" / "cat" / name).write_text("a cat")
    (folder / "train" / "cat" / "Thumbs.db").write_text("")
    (folder / "test" / "metadata.csv").write_text("file_name,weight\ncat/0.png,2\n")
    _, how = tasks.load("images", folder)
    assert f"; not used: {said}" in how and f"such as train/cat/{name}, test/metadata.csv" in how
    assert "Thumbs" not in how


def test_what_systems_add_to_folders_is_not_data(tmp_path):
    for name in ("cat", "dog"):
        for number in range(10):
            (tmp_path / name).mkdir(exist_ok=True)
            Pillow.new("RGB", (4, 4)).save(tmp_path / name / f"{number}.png")
        (tmp_path / "__MACOSX" / name).mkdir(parents=True)
        (tmp_path / "__MACOSX" / name / "._0.png").write_bytes(b"\0\5\x16\7")
        (tmp_path / name / "@eaDir").mkdir()
    for name in ("Thumbs.db", "desktop.ini"):
        (tmp_path / "cat" / name).write_text("")
    data, how = tasks.load("images", tmp_path)
    assert sum(map(len, data.values())) == 20 and "not used" not in how
