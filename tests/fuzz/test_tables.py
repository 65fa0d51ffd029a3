"""Tables of data folders: whatever a file holds, its rows are read, or one ValueError names it.

`make test-full` tries many more of them (CIRCPEFT_FUZZ).
"""

import gzip
import io
import json
from collections import Counter

import datasets
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circpeft import data_folders

from . import readers
from .bounds import BOUNDS, EXAMPLES, show

WORDS = st.sampled_from(
    ["", "a", "007", "1.5", "true", "NaN", "2024-02-01", 'say ""hi""', "a,b", "a\tb", "a\nb", "\0", "é", "\ud83d"]
)
NUMBERS = st.sampled_from([0, 1, -1, 2**53 + 1, 2**63, 2**64, 10**400, 0.5, float("inf"), float("nan")])
SCALARS = st.none() | st.booleans() | WORDS | NUMBERS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=5
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["sentence", "label", "idx", "", "\ud83d"]), VALUES, max_size=3), max_size=4
)
FORMS = ["csv", "tsv", "json", "jsonl", "csv.gz", "jsonl.gz"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def written(rows, form):
    """Return rows as a file of a format."""
    if form.startswith("jsonl"):
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
    elif form.startswith("json"):
        text = json.dumps(rows)
    else:
        mark = "," if form.startswith("csv") else "\t"
        lines = [["sentence", "label"], *([row.get("sentence", ""), row.get("label", "")] for row in rows)]
        text = "".join(mark.join(map(str, line)) + "\n" for line in lines)
    data = text.encode(errors="surrogatepass")
    return gzip.compress(data, mtime=0) if form.endswith("gz") else data


@pytest.mark.parametrize("form", FORMS)
def test_tables(tmp_path, form):
    counts = Counter()
    folder = tmp_path / "data"
    folder.mkdir()

    @settings(**BOUNDS)
    @given(ROWS, st.binary(max_size=4), st.integers(0, 300), st.booleans())
    def check(rows, junk, place, marked):
        data = written(rows, form)
        if place < len(data) and place % 3 == 0:
            data = data[:place] + junk + data[place + len(junk) :]
        data = b"\xff\xfe" + data if marked and place % 7 == 0 else data
        counts[readers.table(folder / f"train.{form}", data)] += 1

    check()
    show(f"tables in {form}", counts)
    assert counts["read"] and counts["refused"]


def test_parquet(tmp_path):
    counts, whole = Counter(), io.BytesIO()
    pd.DataFrame({"sentence": ["a", "b"] * 20, "label": range(40)}).to_parquet(whole)
    good = whole.getvalue()
    folder = tmp_path / "data"
    folder.mkdir()
    counts[readers.table(folder / "train.parquet", good)] += 1

    @settings(**BOUNDS | {"max_examples": max(10, EXAMPLES // 10)})
    @given(st.integers(0, len(good)), st.binary(max_size=4), st.booleans())
    def check(place, junk, cut):
        changed = good[:place] + junk + (b"" if cut else good[place + len(junk) :])
        counts[readers.table(folder / "train.parquet", changed)] += 1

    check()
    show("tables in parquet", counts)
    assert counts["read"] and counts["refused"]


@pytest.mark.parametrize("start", ['{"a": ', "[", '[{"a": [', '{"a": {"b": '])
@pytest.mark.parametrize("levels", [60, 300, 900, 2_000])
def test_json_that_is_nested_deeply_is_refused(tmp_path, start, levels):
    ends = "".join({"{": "}", "[": "]"}[mark] for mark in reversed(start) if mark in "{[")
    (tmp_path / "train.json").write_text(f"{start}{'[' * levels}{']' * levels}{ends}")
    with pytest.raises(
        ValueError, match=r"cannot read '.*train\.json' as json: (it has more than 50 levels|.*recursion)"
    ):
        data_folders.read_folder(tmp_path)


def test_a_text_in_parquet_that_is_not_utf8_is_refused(tmp_path):
    offsets = pyarrow.array([0, 1], pyarrow.int32()).buffers()[1]
    texts = pyarrow.StringArray.from_buffers(1, offsets, pyarrow.py_buffer(b"\xff"))
    pyarrow.parquet.write_table(pyarrow.table({"sentence": texts}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"train\.parquet': its values are damaged \(.*UTF8"):
        data_folders.read_folder(tmp_path)


def test_a_null_character_in_a_header_is_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"a\0,label\nb,1\n")
    with pytest.raises(ValueError, match=r"the header of '.*train\.csv' has 'a.x00', with a null character"):
        data_folders.read_folder(tmp_path)


def test_a_damaged_parquet_file_and_half_a_character_in_a_name_are_refused(tmp_path):
    (tmp_path / "train.json").write_text('[{"a": 1}, {"b\\ud83d": 1}]')
    with pytest.raises(ValueError, match=r"row 1 of '.*train\.json' has half of a character in the name 'b"):
        data_folders.read_folder(tmp_path)
    (tmp_path / "train.json").unlink()
    pd.DataFrame({"sentence": ["a"]}).to_parquet(tmp_path / "train.parquet")
    good = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(good[:-60] + bytes(50) + good[-10:])
    with pytest.raises(ValueError, match=r"cannot read '.*train\.parquet' as parquet"):
        data_folders.read_folder(tmp_path)
