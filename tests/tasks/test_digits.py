"""The embedded digits: labels, separate splits, and the same images every time."""

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from circpeft import tasks
from circpeft.tasks import digits, splits

COUNTS = {"train": 1611, "validation": 537, "test": 540}


def inks(part: tuple[np.ndarray, np.ndarray]) -> set[bytes]:
    return {ink.tobytes() for ink in part[0]}


@pytest.fixture(scope="module")
def data():
    return tasks.load("digits")[0]


def test_the_task_is_the_digits_from_5_to_9(data):
    assert {split: len(rows) for split, rows in data.items()} == COUNTS
    assert tasks.get("digits").with_labels_of(data).labels == ("5", "6", "7", "8", "9")
    for rows in data.values():
        counts = np.bincount(rows["label"], minlength=5)
        assert counts.min() > 0.12 * len(rows)


@pytest.mark.parametrize("classes", [range(0, 5), range(5, 10)], ids=str)
def test_an_image_shows_the_digit_of_its_label(classes):
    """The label of each picture against its handwriting in the original data, found by the ink."""
    published = load_digits()
    original = {ink.tobytes(): target for ink, target in zip(published.images, published.target, strict=True)}
    made = digits.load(classes[0], classes[-1])
    for split, (ink, labels) in digits.handwriting(classes).items():
        assert [original[each.tobytes()] for each in ink] == list(labels)
        expected = np.repeat(labels, digits.COPIES[split]) - classes[0]
        assert made[split]["label"] == expected.tolist()


def test_no_handwritten_digit_is_in_two_splits():
    parts = digits.handwriting(range(5, 10))
    assert {split: 3 * len(ink) for split, (ink, _) in parts.items()} == COUNTS
    known = [inks(part) for part in parts.values()]
    assert len(set.union(*known)) == sum(map(len, known)) == sum(COUNTS.values()) // 3


def test_no_digit_of_the_task_was_seen_in_pre_training():
    early, late = (set.union(*map(inks, digits.handwriting(c).values())) for c in (range(5), range(5, 10)))
    assert not early & late and len(early) + len(late) == 1797
    assert digits.load(0, 4)["train"].features["label"].names == ["0", "1", "2", "3", "4"]


def test_pictures_are_in_colour_and_all_different(data):
    seen = set()
    for rows in data.values():
        for image in rows["image"]:
            assert image.size == (32, 32) and image.mode == "RGB"
            seen.add(image.tobytes())
    assert len(seen) == sum(COUNTS.values())


def test_the_pictures_are_the_same_in_every_process(data, run_python):
    script = """
import hashlib, runpy, sys
total = hashlib.sha256()
for split, rows in runpy.run_path(sys.argv[1])["load"]().items():
    for image, label in zip(rows["image"], rows["label"]):
        total.update(image.tobytes() + bytes([label]))
print(total.hexdigest())
"""
    total = hashlib.sha256()
    for rows in data.values():
        for image, label in zip(rows["image"], rows["label"], strict=True):
            total.update(image.tobytes() + bytes([label]))
    assert run_python(script, digits.__file__).strip() == total.hexdigest()


def test_the_pictures_are_the_same_at_every_call(data):
    digits.load.cache_clear()
    assert splits.digest(digits.load()) == splits.digest(data)


def test_a_rendered_digit_is_legible():
    """Turned, moved, tinted and put on noise, but still dark on light, and brighter where no ink is."""
    random = np.random.default_rng(0)
    blank, full = np.zeros((8, 8)), np.full((8, 8), 16.0)
    for _ in range(20):
        paper, pen = (np.asarray(digits.render(ink, random), dtype=float) for ink in (blank, full))
        assert paper.mean() > 140 and pen[12:20, 12:20].mean() < 120
        assert 5 < paper.std(axis=(0, 1)).mean() < 20  # the noise
