"""The digest of images depends on every pixel and on nothing else: it ties a record to its data."""

from datasets import Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks import splits

FEATURES = Features(image=Image(), label=Value("int64"))


def picture(shade: int = 0, mode: str = "RGB") -> Pillow.Image:
    return Pillow.new("L", (4, 4), shade).convert(mode)


def digest(*pictures: Pillow.Image, labels: tuple = (), split: str = "train") -> str:
    made = {"image": list(pictures), "label": list(labels) or [0] * len(pictures)}
    return splits.digest(DatasetDict({split: Dataset.from_dict(made, features=FEATURES)}))


def test_different_images_have_different_digests():
    dot = picture()
    dot.putpixel((3, 3), (0, 0, 1))
    red, green = picture(mode="P"), picture(mode="P")
    red.putpalette([255, 0, 0] * 256)
    green.putpalette([0, 255, 0] * 256)  # the same pixels with other colours
    several = [
        digest(picture(), picture(1)),
        digest(picture(1), picture()),
        digest(picture(), picture(1), labels=(0, 1)),
        digest(picture(), picture(1), split="test"),
        digest(picture(), dot),
        digest(picture(), picture(1, "L")),
        digest(picture(), picture(1).resize((2, 8))),
        digest(picture(), red),
        digest(picture(), green),
        digest(picture()),
    ]
    assert len(set(several)) == len(several)


def test_the_digest_depends_only_on_the_pixels(tmp_path):
    """Not on the format or the place of a file, nor on the process."""
    found = set()
    for form in ("png", "bmp"):
        for count in range(3):
            path = tmp_path / form / "train" / ("cat" if count < 2 else "dog") / f"{count}.{form}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(count).save(path)
        task = tasks.get("images")
        found.add(splits.digest(task.prepare(task.read_folder(tmp_path / form))))
    assert found == {digest(picture(0), picture(1), picture(2), labels=(0, 0, 1))}
    assert digest(picture(0), picture(1), picture(2)) == "a50dfc13ba4a"


def test_digests_of_all_modes_equal_recorded_ones():
    """How a model sees a picture is no part of its digest."""
    kinds = [picture(7, mode) for mode in ("1", "L", "P", "RGB", "CMYK", "RGBA", "LA")]
    assert digest(*kinds) == "41e1e89376d3"
