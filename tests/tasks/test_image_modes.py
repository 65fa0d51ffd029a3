"""Pictures of all modes: what of them a model sees, and which are refused, damaged ones too."""

import io

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pillow

from circpeft import plots, tasks
from circpeft.tasks import pictures, splits

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
TASK = tasks.get("images")


def written(image: Pillow.Image, form: str, **options) -> bytes:
    with io.BytesIO() as file:
        image.save(file, form, **options)
        return file.getvalue()


def read(content: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(content))


def prepared(*contents: bytes) -> DatasetDict:
    images = [{"bytes": content, "path": None} for content in contents]
    made = {"image": images, "label": [row % 2 for row in range(len(images))]}
    features = Features(image=Image(), label=Value("int64"))
    return TASK.prepare(DatasetDict(train=Dataset.from_dict(made, features=features)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_pictures_of_8_bits_stay_as_they_were(mode):
    picture = Pillow.fromarray(NOISE[..., :3]).convert("RGB" if mode == "LAB" else mode)
    assert np.array_equal(pictures.rgb(picture), picture.convert("RGB"))


def test_opaque_pictures_stay_as_they_were():
    opaque = Pillow.fromarray(np.concatenate([NOISE[..., :3], np.full_like(NOISE[..., :1], 255)], -1))
    for mode in ("RGBA", "LA", "RGBa"):
        assert np.array_equal(pictures.rgb(opaque.convert(mode)), opaque.convert(mode).convert("RGB"))


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "<u2"), ("I;16B", ">u2"), ("I", "<i4")])
def test_16_bits_of_grey_keep_their_content(mode, kind):
    values = np.arange(65536).reshape(256, 256)
    picture = Pillow.frombytes(mode, (256, 256), values.astype(kind).tobytes())
    seen = np.asarray(pictures.rgb(picture))
    assert seen.shape == (256, 256, 3) and np.abs(seen - values[..., None] / 257).max() <= 0.5
    for form in ("png", "tiff") if mode != "I" else ():
        data = prepared(*[written(picture, form)] * 2)
        assert np.array_equal(pictures.rgb(data["train"][0]["image"]), seen)


def test_a_picture_is_seen_alike_in_8_and_in_16_bits():
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = Pillow.frombytes("I;16", (16, 16), (eight.astype("<u2") * 257).tobytes())
    assert np.array_equal(pictures.rgb(deep), pictures.rgb(Pillow.fromarray(eight)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_transparency_is_laid_on_white(mode):
    black = Pillow.new({"LA": "L", "PA": "P"}.get(mode, "RGB"), (3, 1))
    black.putalpha(Pillow.frombytes("L", (3, 1), bytes([255, 0, 51])))
    picture = black.convert(mode)
    assert picture.mode == mode
    assert [pictures.rgb(picture).getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (255,) * 3, (204,) * 3]


@pytest.mark.parametrize("form", ["png", "gif", "webp"])
def test_transparency_of_files_is_laid_on_white(form):
    """In png and gif it stands beside the palette, whose colour there is any, here black."""
    picture = Pillow.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.putpixel((0, 0), 0)
    if form == "webp":
        picture = picture.convert("RGBA")
        picture.putpixel((0, 0), (0, 0, 0, 0))
        content = written(picture, form, lossless=True)
    else:
        content = written(picture, form, transparency=0)
    seen = pictures.rgb(read(content))
    assert seen.getpixel((0, 0)) == (255, 255, 255) and seen.getpixel((7, 7)) == (200, 0, 0)


def test_numbers_without_a_range_are_refused():
    good = written(Pillow.new("L", (4, 4)), "png")
    for mode in ("I", "F"):
        picture = Pillow.new(mode, (4, 4), 1)
        with pytest.raises(ValueError, match=f"row 2 of split train .*mode '{mode}' has no known range .*16 bits"):
            prepared(good, good, written(picture, "tiff"))
    with pytest.raises(ValueError, match="mode 'F' has no known range"):
        pictures.rgb(Pillow.new("F", (4, 4)))
    for value in (-1, 65536):
        with pytest.raises(ValueError, match=f"mode 'I' has no known range .*values are from {value} to {value}"):
            pictures.rgb(Pillow.new("I", (4, 4), value))


def test_a_sheet_shows_what_the_model_sees():
    grey = Pillow.new("I;16", (8, 8), 100 * 257)
    assert plots.sheet([grey], side=8).getpixel((8, 8)) == (100, 100, 100)


FORMS = ["png", "jpeg", "gif", "webp", "tiff", "bmp"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kept", [0.9, 0.5, "all but the last 30 bytes"])
def test_a_truncated_image_is_named_by_prepare(form, kept):
    whole = written(Pillow.fromarray(NOISE[..., :3]).resize((640, 480)), form)
    end = len(whole) - 30 if isinstance(kept, str) else int(len(whole) * kept)
    with pytest.raises(ValueError, match="row 3 of split train of task 'images' is not a readable image: ."):
        prepared(whole, whole, whole, whole[:end])


@pytest.mark.parametrize("form", FORMS)
def test_whole_pictures_are_taken(form):
    whole = written(Pillow.fromarray(NOISE[..., :3]), form)
    assert len(prepared(whole, whole + b"more")["train"]) == 2  # some cameras write more after the end


def test_png_and_jpeg_are_not_decoded_twice(monkeypatch):
    """Their pixels are read for the digest; a whole data set twice would take long."""
    contents = [written(Pillow.fromarray(NOISE[..., :3]), form) for form in ("png", "jpeg")]
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail(f"{image.format} is decoded"))
    assert len(prepared(*contents)["train"]) == 2


def test_png_that_pillow_reads_without_its_end_is_taken():
    whole = written(Pillow.fromarray(NOISE[..., :3]), "png")
    assert len(prepared(whole, whole[: whole.rindex(b"IEND") - 4])["train"]) == 2


def test_damage_that_the_digest_finds_is_named_by_the_row_of_the_file(tmp_path):
    """prepare does not decode: the rows are shuffled by then, and an image of class folders has a path."""
    good = written(Pillow.fromarray(NOISE[..., :3]), "png")
    (tmp_path / "bad.png").write_bytes(good[: len(good) // 2])
    images = [{"bytes": good, "path": None}] * 20
    images[7] = {"bytes": good[: len(good) // 2], "path": None}
    data = Dataset.from_dict({"image": images}, features=Features(image=Image()))
    parts = data.train_test_split(test_size=4, seed=0)
    with pytest.raises(ValueError, match=r"split train cannot be read \(row 7 of the data that .*: .*truncated"):
        splits.digest(DatasetDict(train=splits.first_rows(parts["train"], 15, seed=1)))
    images[7]["path"] = str(tmp_path / "bad.png")
    data = Dataset.from_dict({"image": images}, features=Features(image=Image()))
    with pytest.raises(ValueError, match=r"split train cannot be read \(.*/bad\.png, row 7 of the data that"):
        splits.digest(DatasetDict(train=data.shuffle(seed=1)))


def test_a_picture_that_a_camera_wrote_lying_is_set_upright():
    exif = Pillow.Exif()
    exif[0x112] = 6  # its first row is the right side
    row = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    lying = written(Pillow.fromarray(row), "PNG", exif=exif)
    seen = prepared(lying, lying)["train"][0]["image"]
    assert seen.size == (1, 2) and [seen.getpixel((0, y)) for y in (0, 1)] == [(0, 0, 0), (255, 255, 255)]
