"""Handwritten digits in colour: scikit-learn's 8 x 8 digits, turned, moved, tinted and put on noise.

0 to 4 are what the small vision transformer is pre-trained on, 5 to 9 are the task that it is fine-tuned to. A test
image shows a handwriting that neither training nor validation has.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pillow
from sklearn.datasets import load_digits

SIDE = 32  # pixels of an image
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}  # of the handwritten digits
COPIES = {"train": 3, "validation": 3, "test": 3}  # images made of each


def render(ink: np.ndarray, random: np.random.Generator) -> Pillow.Image:
    """A digit of 8 x 8 grey values (0 to 16) as a picture of 32 x 32 in colour: turned, moved and tinted at random.

    >>> render(np.full((8, 8), 16.0), np.random.default_rng(0)).size
    (32, 32)
    """
    size = int(random.integers(22, 31))
    stroke = Pillow.fromarray((ink * 255 / 16).astype(np.uint8)).resize((size, size), Pillow.BICUBIC)
    canvas = Pillow.new("L", (SIDE, SIDE))
    canvas.paste(stroke, tuple(int(v) for v in random.integers(0, SIDE - size + 1, 2)))
    mask = np.asarray(canvas.rotate(float(random.uniform(-20, 20)), Pillow.BICUBIC), dtype=np.float32)[..., None] / 255
    paper, pen = random.uniform(150, 255, 3), random.uniform(0, 110, 3)
    noise = random.normal(0, 15, (SIDE, SIDE, 3))
    return Pillow.fromarray(np.clip(paper * (1 - mask) + pen * mask + noise, 0, 255).astype(np.uint8))


def handwriting(classes: range) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The 8 x 8 digits of some classes, ``(images, classes)`` for train, validation and test, drawn by a fixed seed."""
    digits = load_digits()
    at = np.flatnonzero(np.isin(digits.target, list(classes)))
    at = np.random.default_rng(0).permutation(at)
    ends = (np.cumsum(list(SHARES.values()))[:-1] * len(at)).astype(int)
    return {n: (digits.images[part], digits.target[part]) for n, part in zip(SHARES, np.split(at, ends), strict=True)}


@lru_cache(maxsize=2)
def load(first: int = 5, last: int = 9) -> DatasetDict:
    """Train, validation and test of the digits from ``first`` to ``last``, the same pictures at every call.

    >>> {name: len(rows) for name, rows in load().items()}
    {'train': 1611, 'validation': 537, 'test': 540}
    """
    classes, made = range(first, last + 1), {}
    features = Features(image=Image(), label=ClassLabel(names=[str(c) for c in classes]))
    for number, (split, (inks, labels)) in enumerate(handwriting(classes).items()):
        random = np.random.default_rng([number, first, last])
        rows = [(ink, label) for ink, label in zip(inks, labels, strict=True) for _ in range(COPIES[split])]
        pictures = [render(ink, random) for ink, _ in rows]
        columns = {"image": pictures, "label": [int(label) - first for _, label in rows]}
        made[split] = Dataset.from_dict(columns, features=features)
    return DatasetDict(made)
