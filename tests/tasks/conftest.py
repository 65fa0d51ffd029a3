"""Data folders for the task tests."""

from pathlib import Path

import datasets
import pandas as pd
import pytest

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
