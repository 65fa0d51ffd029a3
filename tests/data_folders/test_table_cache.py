"""Large tables are read once; a data folder is read as it is now, and nothing is written into it."""

import gzip
import json
import os
from pathlib import Path

import datasets
import pandas as pd
import pytest

from circpeft import data_folders
from circpeft.data_folders import delimited, json_rows, table_cache, tables
from circpeft.tasks import splits

ROWS = [{"sentence": "x" * 2000 + str(i), "label": i % 2, "odd": [i, "5", None][i % 3]} for i in range(1000)]
PLAIN = [{"sentence": f"text {i}", "label": i % 2} for i in range(20)]


@pytest.fixture
def once(monkeypatch):
    """Make parsing a table fail from now on."""

    def forbid():
        for module in (delimited, json_rows):
            monkeypatch.setattr(module, "read", lambda *_: 1 / 0)

    return forbid


def stored() -> list[Path]:
    return sorted((Path(datasets.config.HF_DATASETS_CACHE) / "circpeft").iterdir())


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "csv.gz"])
def test_a_large_table_is_read_once(tmp_path, once, monkeypatch, form):
    path, rows = tmp_path / f"train.{form}", ROWS
    if form.startswith("csv"):
        rows = [{"sentence": row["sentence"], "label": row["label"]} for row in ROWS]
        text = "sentence,label\n" + "\n".join(f"{row['sentence']},{row['label']}" for row in rows)
    else:
        text = json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows))
    path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    if form.endswith("gz"):
        monkeypatch.setattr(table_cache, "LARGE", 1000)
    first = tables.read([path], ("sentence",))
    assert first.to_list() == rows
    once()
    second = tables.read([path], ("sentence",))
    assert second.to_list() == rows and second.features == first.features
    mapped = [table.map(lambda row: {"n": len(row["sentence"])}) for table in (first, second)]
    assert mapped[0]._fingerprint == mapped[1]._fingerprint and mapped[1].cache_files  # what others find again
    with pytest.raises(ZeroDivisionError):
        tables.read([path], ("sentence", "label"))  # another reading
    path.write_bytes(path.read_bytes() + (gzip.compress(b"\n") if form.endswith("gz") else b"\n"))
    with pytest.raises(ZeroDivisionError):
        tables.read([path], ("sentence",))


def test_a_small_table_is_not_kept(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps(ROWS[0]))
    assert tables.read([tmp_path / "train.jsonl"]).to_list() == ROWS[:1]
    assert not (Path(datasets.config.HF_DATASETS_CACHE) / "circpeft").exists()


def test_an_interrupted_read_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, ROWS)))

    def breaks(self, folder):
        (Path(folder) / "data.arrow").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(datasets.Dataset, "save_to_disk", breaks)
        with pytest.raises(KeyboardInterrupt):
            tables.read([tmp_path / "train.jsonl"])
    assert stored() == []
    assert len(tables.read([tmp_path / "train.jsonl"])) == len(ROWS) and len(stored()) == 1


def test_two_processes_at_once_keep_one_copy(tmp_path, monkeypatch):
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    real, done = json_rows.read, []

    def meanwhile(file, place):
        if not done:
            done.append(1)
            tables.read([tmp_path / "train.jsonl"])
        return real(file, place)

    monkeypatch.setattr(json_rows, "read", meanwhile)
    assert len(tables.read([tmp_path / "train.jsonl"])) == len(ROWS) and len(stored()) == 1


@pytest.mark.parametrize("name", ["data", "rte[12]", "a*", "a::b"])
def test_a_parquet_file_is_read_by_its_exact_path_and_contents(tmp_path, name):
    """Not by what a pattern of that name matches, and not what was there at the same time before."""
    for place in ("rte1", "aa", name):
        (tmp_path / place).mkdir()
        pd.DataFrame({"sentence": [place], "label": [0]}).to_parquet(tmp_path / place / "train.parquet")
    path = tmp_path / name / "train.parquet"
    for sentence in (name, "another"):
        pd.DataFrame({"sentence": [sentence], "label": [0]}).to_parquet(path)
        os.utime(path, (0, 0))
        assert tables.read([path]).to_list() == [{"sentence": sentence, "label": 0}]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name", ["saved", "a::b"])
def test_nothing_is_written_into_a_saved_data_set(tmp_path, name, alone):
    part = datasets.Dataset.from_list(PLAIN)
    saved = part if alone else datasets.DatasetDict(train=part, test=part)
    saved.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved").rename(tmp_path / name)
    there = sorted((tmp_path / name).rglob("*"))
    for _ in range(2):
        rows = data_folders.read_folder(tmp_path / name)["train"]
        assert rows.to_list() == PLAIN and rows.cache_files  # on disk
        mapped = splits.first_rows(rows, 10).map(lambda row: {"n": len(row["sentence"])})
        rows.train_test_split(test_size=0.5, seed=0)
        assert mapped.cache_files[0]["filename"].startswith(str(tmp_path / "cache"))
    assert sorted((tmp_path / name).rglob("*")) == there


def test_a_saved_data_set_that_lacks_a_file(tmp_path):
    datasets.Dataset.from_list(PLAIN).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(FileNotFoundError, match=r"'.*/saved' lacks a file: .*data-00000-of-00001\.arrow"):
        data_folders.read_folder(tmp_path / "saved")
