"""Data folders: whatever names and files one has, it is read, or one ValueError or FileNotFoundError names it.

`make test-full` tries many more of them (CIRCPEFT_FUZZ).
"""

import io
import shutil
from collections import Counter

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from circpeft import data_folders

from .bounds import BOUNDS, show, within
from .readers import LONGEST_ERROR, SECONDS

KINDS = {
    "text": data_folders.TaskOptions(text_columns=("sentence",), headerless_columns=("label", "sentence")),
    "images": data_folders.TaskOptions(kind="images", image_column="image"),
    "instructions": data_folders.TaskOptions(kind="instructions", text_columns=("question", "answer")),
}
NAMES = ["train", "test", "validation", "dev", "Training", "trian", "cat", "dog", "images", "data", "wnli", "é", "a\nb"]
TABLES = ["train.csv", "train.jsonl", "test.csv", "valid.json", "train.tsv", "my.csv.gz", "train-00000-of-00002.jsonl"]
TABLES += ["train-00001-of-00002.jsonl", "metadata.csv", "metadata.jsonl", "1.json", "2.json", "train.txt", "README.md"]
TABLES += ["dataset_dict.json", "state.json", "dataset_info.json", "data-00000-of-00001.arrow", "train.parquet"]
IMAGES = ["0.png", "1.jpg", "2.PNG", "._0.png", ".hidden", "3.heic"]


def picture():
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return file.getvalue()


CONTENTS = [
    b"",
    b"[]",
    b"\xff\xfe",
    b"null",
    b"sentence,label\na,1\n",
    b"question,answer\na,1\n",
    b"file_name,label\n0.png,1\n",
]
CONTENTS += [
    b'{"sentence": "a", "label": 1}\n',
    b'{"question": "a", "answer": "b"}',
    b'{"file_name": "0.png", "label": 1}',
]
CONTENTS += [b'{"file_name": "../0.png"}', b'{"splits": ["train"]}', b'{"splits": {"train": 3}}', b'{"_data_files": 3}']
CONTENTS += [b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "a"}', picture()]
FILES = st.dictionaries(st.sampled_from([*TABLES, *IMAGES]), st.sampled_from(CONTENTS), max_size=4)
TREES = st.recursive(
    FILES,
    lambda inner: st.tuples(FILES, st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)).map(
        lambda t: t[0] | t[1]
    ),
    max_leaves=8,
)


WHOLE = {
    "text": {"train.csv": b"sentence,label\na,1\n"},
    "images": {"train": {"cat": {"0.png": picture()}, "dog": {"1.png": picture()}}},
    "instructions": {"train.jsonl": b'{"question": "a", "answer": "b"}\n'},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder, tree):
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write(folder / name, content)
        else:
            (folder / name).write_bytes(content)


def outcome(folder, options):
    """Return what became of a folder, after a look at all of its rows."""
    try:
        with within(SECONDS):
            splits = data_folders.read_folder(folder, options)
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error) and len(str(error)) < LONGEST_ERROR
        return "refused"
    for rows in splits.values():
        assert len(rows.with_format("arrow")[:]) == len(rows) > 0
        assert all(
            kind.dtype != "string" or rows[name][:] for name, kind in rows.features.items() if hasattr(kind, "dtype")
        )
    return "read"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_folders(tmp_path, kind):
    counts = Counter()

    @settings(**BOUNDS)
    @given(st.sampled_from([{}, WHOLE[kind]]), TREES)
    def check(whole, tree):
        write(tmp_path / "data", whole | tree)
        counts[outcome(tmp_path / "data", KINDS[kind])] += 1
        shutil.rmtree(tmp_path / "data")

    check()
    show(f"folders of {kind}", counts)
    assert counts["read"] and counts["refused"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
def test_saved_data_sets(tmp_path, name):
    counts, folder = Counter(), tmp_path / "data"
    datasets.Dataset.from_dict({"sentence": ["a", "é", "cc"], "label": [0, 1, 0]}).save_to_disk(folder / "train")
    good = (folder / "train" / name).read_bytes()
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert outcome(folder, KINDS["text"]) == "read"

    @settings(**BOUNDS)
    @given(st.integers(0, len(good)), st.binary(max_size=4), st.booleans())
    def check(place, junk, cut):
        changed = good[:place] + junk + (b"" if cut else good[place + len(junk) :])
        (folder / "train" / name).write_bytes(changed)
        counts[outcome(folder, KINDS["text"])] += 1

    check()
    show(f"changed {name}", counts)
    assert counts["refused"]
