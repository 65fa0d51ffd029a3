"""Data folders for the task tests."""

from pathlib import Path

import datasets
import pandas as pd
import pytest
from PIL import Image

WRITE = {
    "jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "json": lambda table, path: table.to_json(path, orient="records"),
    "csv": lambda table, path: table.to_csv(path, index=False),
    "parquet": lambda table, path: table.to_parquet(path),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep what datasets caches out of the user's home."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def data_folder(tmp_path):
    """A function that writes a data folder: its name, a format, and the rows of each split."""

    def write(form: str = "jsonl", **splits: list[dict]) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for split, rows in splits.items():
            WRITE[form](pd.DataFrame(rows), folder / f"{split}.{form}")
        return folder

    return write


@pytest.fixture
def image_folder(tmp_path):
    """A function that writes SPLIT/CLASS/number.png, so many of each class, every one in its own shade."""

    def write(suffix: str = ".png", **counts: dict[str, int]) -> Path:
        shade = 0
        for split, classes in counts.items():
            for name, count in classes.items():
                (tmp_path / "data" / split / name).mkdir(parents=True)
                for number in range(count):
                    Image.new("RGB", (4, 4), (shade,) * 3).save(tmp_path / "data" / split / name / f"{number}{suffix}")
                    shade += 1
        return tmp_path / "data"

    return write
