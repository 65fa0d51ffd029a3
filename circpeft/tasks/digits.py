"""Handwritten digits in colour: scikit-learn's 8 x 8 digits, rotated, shifted, tinted and put on noise.

The small vision transformer is pre-trained on 0 to 4; the task is to fine-tune it on 5 to 9. Each test image shows a
handwritten digit that is in neither train nor validation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pillow
from sklearn.datasets import load_digits

SIDE = 32  # pixels of an image
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}  # of the handwritten digits
COPIES = {"train": 3, "validation": 3, "test": 3}  # images drawn from each handwritten digit


def render(ink: np.ndarray, random: np.random.Generator) -> Pillow.Image:
    """Return a digit of 8 x 8 grey values (0 to 16) as a 32 x 32 colour image, randomly rotated, shifted and tinted.

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
    """Return the 8 x 8 digits of some classes: ``(images, classes)`` of each split, drawn with a fixed seed."""
    digits = load_digits()
    indices = np.flatnonzero(np.isin(digits.target, list(classes)))
    indices = np.random.default_rng(0).permutation(indices)
    ends = (np.cumsum(list(SHARES.values()))[:-1] * len(indices)).astype(int)
    parts = zip(SHARES, np.split(indices, ends), strict=True)
    return {split: (digits.images[part], digits.target[part]) for split, part in parts}


@lru_cache(maxsize=2)
def load(first: int = 5, last: int = 9) -> DatasetDict:
    """Return train, validation and test splits of the digits from ``first`` to ``last``; always the same images.

    >>> {name: len(rows) for name, rows in load().items()}
    {'train': 1611, 'validation': 537, 'test': 540}
    """
    classes, data = range(first, last + 1), DatasetDict()
    features = Features(image=Image(), label=ClassLabel(names=[str(c) for c in classes]))
    for number, (split, (inks, labels)) in enumerate(handwriting(classes).items()):
        random = np.random.default_rng([number, first, last])
        rows = [(ink, label) for ink, label in zip(inks, labels, strict=True) for _ in range(COPIES[split])]
        pictures = [render(ink, random) for ink, _ in rows]
        columns = {"image": pictures, "label": [int(label) - first for _, label in rows]}
        data[split] = Dataset.from_dict(columns, features=features)
    return data
